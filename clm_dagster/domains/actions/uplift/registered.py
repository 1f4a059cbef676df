"""The registered uplift model: its name, the types in its file, and the functions that save and load it.

Belongs here: what definitions need of it. Does not: the conversion itself (`served`).
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.actions.uplift.names import MODEL
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.trained_models.registered import BOOSTING_TYPES, RegisteredModel

if TYPE_CHECKING:
    from clm_dagster.domains.actions.uplift.served import pack, unpack
else:
    pack, unpack = late_functions("clm_dagster.domains.actions.uplift.served", "pack", "unpack")

_LEARNERS = ("SLearner", "TLearner", "XLearner", "RLearner", "DRLearner", "TransformedOutcome")
# Types that a file may contain in addition to scikit-learn's default ones.
TRUSTED = (
    *BOOSTING_TYPES,
    "clm_dagster.domains.actions.uplift.served.EffectsOfArms",
    *(f"clm_dagster.statistics.uplift.learners.{name}" for name in _LEARNERS),
)
REGISTERED = RegisteredModel(MODEL, pack, unpack, TRUSTED)
