"""Evaluation of models on a later period: splits by time, metrics, intervals, calibration, gates, drift.

Belongs here: statistics that every evaluation shares, as functions of arrays and frames. Does not: models,
anything specific to one target, Dagster, MLflow, DuckDB.
"""

from typing import TYPE_CHECKING

from clm_dagster.statistics.evaluation.drift import missing_rate_change, population_stability
from clm_dagster.statistics.evaluation.gates import Verdict, champion_verdict, suspected_leak
from clm_dagster.statistics.evaluation.intervals import (
    Difference,
    Resampled,
    counted_mean,
    fast_auc,
    fast_log_loss,
    mean_intervals,
    metric_interval,
    paired_differences,
)
from clm_dagster.statistics.evaluation.plans import (
    EvaluationPlan,
    GridSettings,
    evaluation_plan,
    level_snapshots,
)
from clm_dagster.statistics.evaluation.splits import (
    EvaluationError,
    TimeSplit,
    latest_mature,
    missing_snapshots,
    time_split,
    year_on_grid,
)
from clm_dagster.statistics.late_names import late_names

if TYPE_CHECKING:
    from clm_dagster.statistics.evaluation.calibration import (
        Calibration,
        Shape,
        ShapeFit,
        calibrate_to_rate,
        fit_shape,
        safe_logit,
        shifted_to_mean,
    )
    from clm_dagster.statistics.evaluation.metrics import (
        best_f1_threshold,
        calibration_error,
        classification_metrics,
        lift_at,
        reliability,
    )
else:
    __getattr__ = late_names(
        __name__,
        {
            "calibration": "Calibration Shape ShapeFit calibrate_to_rate fit_shape safe_logit shifted_to_mean",
            "metrics": "best_f1_threshold calibration_error classification_metrics lift_at reliability",
        },
    )

__all__ = [
    "Calibration",
    "Difference",
    "EvaluationError",
    "EvaluationPlan",
    "GridSettings",
    "Resampled",
    "Shape",
    "ShapeFit",
    "TimeSplit",
    "Verdict",
    "best_f1_threshold",
    "calibrate_to_rate",
    "calibration_error",
    "champion_verdict",
    "classification_metrics",
    "counted_mean",
    "evaluation_plan",
    "fast_auc",
    "fast_log_loss",
    "fit_shape",
    "latest_mature",
    "level_snapshots",
    "lift_at",
    "mean_intervals",
    "metric_interval",
    "missing_rate_change",
    "missing_snapshots",
    "paired_differences",
    "population_stability",
    "reliability",
    "safe_logit",
    "shifted_to_mean",
    "suspected_leak",
    "time_split",
    "year_on_grid",
]
