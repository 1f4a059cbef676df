"""Metadata, plots and MLflow runs of a training of customer value.

Belongs here: texts and plots. Does not belong here: anything that table rows depend on (`report`).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict

from clm_dagster.domains.value import checks, mlflow_plots
from clm_dagster.domains.value.evaluate import CandidateResult, EvaluationResult
from clm_dagster.domains.value.names import BASELINES, OWN_PAST
from clm_dagster.domains.value.report import metrics_of_candidate
from clm_dagster.domains.value.table_settings import Settings
from clm_dagster.platform.charts import Drawing
from clm_dagster.platform.markdown import bold, markdown_table
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.curves import curve_drawing, curve_metrics, with_curve
from clm_dagster.platform.trained_models.metrics import flat
from clm_dagster.platform.trained_models.samples import check_enough
from clm_dagster.platform.trained_models.snapshots import SnapshotInputs
from clm_dagster.platform.trained_models.training import CandidateRun, Notes


def notes(work: Work[Settings], inputs: SnapshotInputs, result: EvaluationResult) -> Notes:
    """Return the metadata and MLflow content of a training."""
    split = result.split
    return Notes(
        evaluated=f"{len(result.results)} candidates, evaluated at {split.test}",
        parameters={
            "winner": result.winner,
            "horizon_days": split.horizon_days,
            "spacing_days": split.spacing_days,
            "training_snapshots": len(split.training),
            "trained_as_of": split.training[-1],
            "tested_as_of": split.test,
            "level": result.level.method,
            "tiers": result.model.tiers.method,
            "cap": f"{result.model.cap:.2f}",
        },
        metrics=_run_metrics(result.results[result.winner])
        | {
            "interval_coverage": result.coverage.overall,
            "interval_coverage_with_width": result.coverage.wide,
            **curve_metrics(result.learning),
        },
        documents={
            "evaluation.json": {
                "level": asdict(result.level),
                "candidates": [
                    asdict(metric) for one in result.results.values() for metric in metrics_of_candidate(one)
                ],
                "deciles": json.loads(result.deciles.to_json(orient="records")),
                "tiers": result.tiers.to_dict("records"),
                "interval_coverage_by_decile": list(result.coverage_by_decile),
            }
        },
        drawings=_drawings(result),
        tables={"evaluation": _table(result)},
        checks=[
            *checks.check_training(work.label, result),
            check_enough(work.label, inputs.sample, result.learning),
        ],
    )


def _drawings(result: EvaluationResult) -> dict[str, Drawing]:
    height = 1.2 + 0.22 * len(result.results)
    return {
        "candidates": (mlflow_plots.evaluation_page(result), 10.0, height),
        "level": (mlflow_plots.level_page(result), 8.0, 2.4),
        **curve_drawing(result.learning),
    }


def _table(result: EvaluationResult) -> str:
    """Return the evaluation as a markdown table, best validation first."""
    columns = ("candidate", "validation score", "MAE", "over the last year's rate", "bias before", "bias")
    return markdown_table(
        (*columns, "RMSE", "Spearman", "Gini", "revenue capture", "s"),
        (
            (
                bold(one.name) if one.name == result.winner else one.name,
                f"{one.score:.0f}",
                f"{one.test['mae']:.2f}",
                one.mae_over[OWN_PAST],
                f"{one.unscaled['bias']:+.1%}",
                f"{one.test['bias']:+.1%}",
                f"{one.test['rmse']:.0f}",
                f"{one.test['spearman']:.3f}",
                f"{one.test['gini']:.3f}",
                f"{one.test['catch']:.3f}",
                f"{one.seconds:.1f}",
            )
            for one in sorted(result.results.values(), key=lambda one: one.score)
        ),
    )


def candidate_runs(
    work: Work[Settings], inputs: SnapshotInputs, result: EvaluationResult
) -> Iterator[CandidateRun]:
    """Yield every candidate, and the winner and the baselines with plots on the test snapshot.

    The other candidates have plots if the training explains all of them.
    """
    actual = result.amounts["net_revenue"].to_numpy()
    for one in result.results.values():
        members = one.parameters.get("members")
        figures: dict[str, Drawing] = {}
        if work.explains_all or one.name == result.winner or one.name in BASELINES:
            page = mlflow_plots.candidate_page(one.name, actual, result.amounts[one.name].to_numpy())
            figures = {"candidate.png": (page, 10.0, 3.5)}
        run = CandidateRun(
            name=one.name,
            parameters=dict(one.parameters) | ({"members": ", ".join(members)} if members else {}),
            metrics=_run_metrics(one),
            figures=figures,
        )
        yield with_curve(run, result.learning) if one.name == result.winner else run


def _run_metrics(one: CandidateResult) -> dict[str, float]:
    """Return the metrics of a candidate by their MLflow names."""
    return flat(
        {
            "seconds": one.seconds,
            "validation/score": one.score,
            "validation": one.validation,
            "test_before": one.unscaled,
            "test": one.test,
            **{f"mae_over_{baseline}": gap for baseline, gap in one.mae_over.items()},
            **{f"catch_over_{baseline}": gap for baseline, gap in one.capture_over.items()},
        }
    )
