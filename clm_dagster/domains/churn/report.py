"""What a churn training stores in the warehouse and in the model registry.

Belongs here: the row of `models.churn_model`, metrics of candidates and groups, the model. Does not belong here:
metadata and plots (`notes`).
"""

from clm_dagster.domains.churn.evaluate import CandidateResult, EvaluationResult
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.monitoring import age_band, fairness
from clm_dagster.domains.churn.names import RECENCY, STORED_TEST_METRICS, TEST_METRICS
from clm_dagster.domains.churn.queries import TrainingInputs
from clm_dagster.domains.churn.served import example
from clm_dagster.domains.churn.table_settings import Settings
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.tracking import data_hash
from clm_dagster.platform.trained_models.metrics import Metric, metrics_of, ten_decimals
from clm_dagster.platform.trained_models.snapshots import split_columns
from clm_dagster.platform.trained_models.training import Report

GROUPS = ("country", "gender", "age_band", "acquisition_channel")


def report(work: Work[Settings], inputs: TrainingInputs, result: EvaluationResult) -> Report[ChurnModel]:
    """Return the row of a training, its model and its metrics."""
    split, best = result.split, result.results[result.winner]
    snapshots = inputs.snapshots
    return Report(
        fitted=result.model,
        example=example(result.inputs.frames[split.test], 1_000),
        data_hash=f"{data_hash(snapshots.features)}{data_hash(snapshots.labels)}",
        trained_as_of=split.training[-1],
        row={
            **split_columns(split),
            "customers": len(result.test_probabilities),
            "winner": result.winner,
            **{f"test_{name}": best.test[name] for name in STORED_TEST_METRICS},
            "recency_roc_auc": result.results[RECENCY].test["roc_auc"],
            "level_method": result.base_rate.method,
        },
        metrics=[
            *(metric for one in result.results.values() for metric in metrics_of_candidate(one)),
            *race_metrics(result),
            *_group_metrics(inputs, result),
        ],
        suspected_leak=bool(result.leaks),
    )


def metrics_of_candidate(one: CandidateResult) -> list[Metric]:
    """Return the stored metrics of one candidate."""
    return metrics_of(
        one.name,
        {
            "exact_reasons": int(one.exact),
            "seconds": round(one.seconds, 3),
            "validation_log_loss": one.validation["log_loss"],
            "calibration_error_before": one.uncalibrated["calibration_error"],
            **{name: one.test[name] for name in TEST_METRICS},
            "auc_over_recency": one.auc_over_recency,
            "auc_over_winner": one.auc_over_winner,
        },
    )


def race_metrics(result: EvaluationResult) -> list[Metric]:
    """Return for each candidate its log loss in the race, None without one, and whether it was dropped there."""
    lost = result.race
    found: list[Metric] = []
    for name in (*result.results, *lost.dropped):
        values: dict[str, float | None] = {
            "race_log_loss": lost.losses.get(name),
            "is_dropped": int(name in lost.dropped),
        }
        if name in lost.dropped:
            values["exact_reasons"] = int(lost.exact[name])
        found += metrics_of(name, values)
    return found


def _group_metrics(inputs: TrainingInputs, result: EvaluationResult) -> list[Metric]:
    """Return the winner's test metrics by country, gender, age band and acquisition channel."""
    frame = result.inputs.frames[result.split.test][["customer_id", "country"]]
    people = frame.merge(inputs.people, on="customer_id", how="left")
    people["age_band"] = age_band(people["birth_year"], result.split.test.year)
    scored = people.assign(
        churn_probability=result.test_probabilities[result.winner].to_numpy(),
        churned=result.test_probabilities["churned"].to_numpy(float),
    )
    found: list[Metric] = []
    for row in fairness(scored, GROUPS).to_dict("records"):
        numbers = {
            str(name): ten_decimals(value) for name, value in row.items() if not isinstance(value, str)
        }
        for name in ("customers", "mean_probability", "base_rate", "calibration_gap", "roc_auc"):
            ends = (numbers[name], numbers.get(f"{name}_low"), numbers.get(f"{name}_high"))
            found.append(Metric(result.winner, name, *ends, row["attribute"], row["group"]))
    return found
