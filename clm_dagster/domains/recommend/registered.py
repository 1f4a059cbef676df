"""The registered ranker: its name, the types in its file, and the functions that save and load it.

Belongs here: what definitions need of it. Does not: the conversion itself (`served`).
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.recommend.names import MODEL
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.trained_models.registered import BOOSTING_TYPES, RegisteredModel

if TYPE_CHECKING:
    from clm_dagster.domains.recommend.served import pack, unpack
else:
    pack, unpack = late_functions("clm_dagster.domains.recommend.served", "pack", "unpack")

# Types that a file may hold beyond those that skops trusts: our estimator and the parts of scikit-learn's trees.
TRUSTED = (
    *BOOSTING_TYPES,
    "clm_dagster.domains.recommend.served.PairChance",
)
REGISTERED = RegisteredModel(MODEL, pack, unpack, TRUSTED)
