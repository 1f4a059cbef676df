"""The registered churn model: its name, the types in its file, and the functions that save and load it.

Belongs here: what definitions need of it. Does not belong here: the conversion itself (`served`).
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.churn.names import MODEL
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.trained_models.registered import BOOSTING_TYPES, RegisteredModel

if TYPE_CHECKING:
    from clm_dagster.domains.churn.served import pack, typical_customers, unpack
else:
    pack, typical_customers, unpack = late_functions(
        "clm_dagster.domains.churn.served", "pack", "typical_customers", "unpack"
    )

# Types that a file may contain in addition to scikit-learn's default ones: those of this project, and parts of
# scikit-learn's trees and networks.
TRUSTED = (
    *BOOSTING_TYPES,
    "clm_dagster.domains.churn.candidates.LogOddsMean",
    "clm_dagster.domains.churn.candidates._mutual_information",
    "clm_dagster.domains.churn.candidates.signed_log",
    "clm_dagster.domains.churn.served.ChurnProbability",
    "clm_dagster.statistics.lightgbm_trees.LightGBMClassifier",
    "sklearn.impute._iterative.IterativeImputer",
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.tree._tree.Tree",
)
REGISTERED = RegisteredModel(MODEL, pack, unpack, TRUSTED, illustrate=typical_customers)
