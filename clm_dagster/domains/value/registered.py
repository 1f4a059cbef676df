"""The registered model of customer value: its name, the types in its file, and the functions that save and load it.

Belongs here: what definitions need of it. Does not belong here: the conversion itself (`served`).
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.value.names import MODEL
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.trained_models.registered import BOOSTING_TYPES, RegisteredModel

if TYPE_CHECKING:
    from clm_dagster.domains.value.served import pack, typical_customers, unpack
else:
    pack, typical_customers, unpack = late_functions(
        "clm_dagster.domains.value.served", "pack", "typical_customers", "unpack"
    )

# Types that a file may contain in addition to scikit-learn's default ones: those of this project, and parts of
# scikit-learn's trees and networks.
TRUSTED = (
    *BOOSTING_TYPES,
    "clm_dagster.domains.value.served.ExpectedRevenue",
    "clm_dagster.statistics.lightgbm_trees.LightGBMRegressor",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.LogLink",
    "sklearn._loss.loss.HalfPoissonLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
)
REGISTERED = RegisteredModel(MODEL, pack, unpack, TRUSTED, illustrate=typical_customers)
