"""What a training of customer value stores in the warehouse and in the model registry.

Belongs here: the row of `models.value_model`, metrics of candidates, the model. Does not belong here: metadata and
plots (`notes`).
"""

from clm_dagster.domains.value.evaluate import CandidateResult, EvaluationResult
from clm_dagster.domains.value.model import ValueModel
from clm_dagster.domains.value.names import BASELINES, OWN_PAST, STORED_TEST_METRICS
from clm_dagster.domains.value.served import example
from clm_dagster.domains.value.table_settings import Settings
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.tracking import data_hash
from clm_dagster.platform.trained_models.metrics import Metric, metrics_of
from clm_dagster.platform.trained_models.snapshots import SnapshotInputs, split_columns
from clm_dagster.platform.trained_models.training import Report


def report(work: Work[Settings], inputs: SnapshotInputs, result: EvaluationResult) -> Report[ValueModel]:
    """Return the row of a training, its model and its metrics."""
    split, best = result.split, result.results[result.winner]
    return Report(
        fitted=result.model,
        example=example(inputs.test_features, 1_000),
        data_hash=f"{data_hash(inputs.features)}{data_hash(inputs.labels)}",
        trained_as_of=split.training[-1],
        row={
            **split_columns(split),
            "customers": len(result.amounts),
            "winner": result.winner,
            **{f"test_{name}": best.test[name] for name in STORED_TEST_METRICS},
            "bias_before": best.unscaled["bias"],
            "interval_coverage": result.coverage.overall,
            "interval_coverage_with_width": result.coverage.wide,
            "customers_with_width": result.coverage.wide_customers,
            "vip_expected": float(result.tiers["expected_vip"].iloc[0]),
            "vip_actual": float(result.tiers["actual_vip"].iloc[0]),
            "tier_method": result.model.tiers.method,
            "level_method": result.level.method,
            "tiers": result.tiers.to_json(orient="records"),
        },
        metrics=[metric for one in result.results.values() for metric in metrics_of_candidate(one)],
    )


def metrics_of_candidate(one: CandidateResult) -> list[Metric]:
    """Return the stored metrics of one candidate."""
    return metrics_of(
        one.name,
        {
            "is_baseline": int(one.name in BASELINES),
            "seconds": round(one.seconds, 3),
            "validation_score": one.score,
            "bias_before": one.unscaled["bias"],
            **{name: one.test[name] for name in STORED_TEST_METRICS},
            f"mae_over_{OWN_PAST}": one.mae_over[OWN_PAST],
            f"catch_over_{OWN_PAST}": one.capture_over[OWN_PAST],
        },
    )
