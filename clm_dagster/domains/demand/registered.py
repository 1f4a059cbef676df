"""The registered model of demand: its name, the types in its file, and the functions that save and load it.

Belongs here: what definitions need of it. Does not: the conversion itself (`served`).
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.demand.names import MODEL
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.trained_models.registered import PACKAGES, RegisteredModel

if TYPE_CHECKING:
    from clm_dagster.domains.demand.served import pack, typical_weeks, unpack
else:
    pack, typical_weeks, unpack = late_functions(
        "clm_dagster.domains.demand.served", "pack", "typical_weeks", "unpack"
    )

# Types in the file of gradient boosting with squared loss, beyond those that skops trusts.
TREE_TYPES = (
    "numpy.dtype",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
REGISTERED = RegisteredModel(
    MODEL,
    pack=pack,
    unpack=unpack,
    trusted=("clm_dagster.domains.demand.served.DemandForecaster", *TREE_TYPES),
    packages=(*PACKAGES, "statsmodels"),
    illustrate=typical_weeks,
)
