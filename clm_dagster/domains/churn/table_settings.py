"""Settings that the churn tables receive. Their values are part of the version of a table.

Belongs here: the settings of evaluation, scoring and drift. Does not belong here: users' settings (`settings`), from
which `tables` derives these.
"""

from dataclasses import dataclass

from clm_dagster.domains.churn.feature_names import FEATURES
from clm_dagster.platform.trained_models.snapshots import SnapshotSettings
from clm_dagster.statistics.evaluation import GridSettings


@dataclass(frozen=True)
class EvaluationSettings(GridSettings):
    """User settings of an evaluation. The defaults equal those of the package's settings.

    lightgbm: whether LightGBM is a candidate.
    """

    active_days: int = 365
    leak_auc: float = 0.97
    calibration_limit: float = 0.08
    features: tuple[str, ...] = FEATURES
    lightgbm: bool = False


Settings = SnapshotSettings[EvaluationSettings]


@dataclass(frozen=True)
class ScoreSettings:
    """User settings of scoring.

    customers: the largest number of customers to read at an earlier snapshot. setting: the variable that sets it.
    turnover_warn: the turnover of the top decile from which the check warns.
    """

    evaluation: EvaluationSettings
    customers: int
    setting: str
    turnover_warn: float


@dataclass(frozen=True)
class DriftSettings:
    """User settings of drift. The check warns from the effect on scores `warn` on, and fails from `fail` on.

    customers: the largest number of customers to compare. setting: the variable that sets it.
    """

    evaluation: EvaluationSettings
    customers: int
    setting: str
    warn: float
    fail: float
