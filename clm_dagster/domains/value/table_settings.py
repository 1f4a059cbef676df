"""Settings that the customer value tables receive. Their values are part of the version of a table.

Belongs here: the settings of an evaluation. Does not belong here: users' settings (`settings`), from which `tables`
derives these.
"""

from dataclasses import dataclass

from clm_dagster.platform.trained_models.snapshots import SnapshotSettings
from clm_dagster.statistics.evaluation import GridSettings


@dataclass(frozen=True)
class EvaluationSettings(GridSettings):
    """User settings of an evaluation. The defaults equal those of the package's settings.

    lightgbm: whether LightGBM is a candidate.
    """

    coverage: float = 0.8
    lightgbm: bool = False


Settings = SnapshotSettings[EvaluationSettings]
