"""What MLflow and Dagster show of a training. No table row depends on it.

Belongs here: parameters, metrics and artifacts of the run and of its candidates. Does not: figures (`mlflow_plots`),
Markdown (`markdown_tables`).
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from clm_dagster.domains.recommend import mlflow_plots
from clm_dagster.domains.recommend.candidates import LISTS
from clm_dagster.domains.recommend.evaluate import RANKER, EvaluationResult
from clm_dagster.domains.recommend.markdown_tables import candidates_table
from clm_dagster.domains.recommend.names import BASELINES, LIST_METRICS
from clm_dagster.domains.recommend.table_settings import RankerSettings
from clm_dagster.platform.charts import Drawing
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.training import CandidateRun, Notes


def notes(_: Work[RankerSettings], __: object, result: EvaluationResult) -> Notes:
    """Return what MLflow and Dagster show of a training."""
    ranker = result.ranker
    left_out = "".join(f" {name} was left out: {why}." for name, why in result.left_out.items())
    return Notes(
        evaluated=f"{len(result.candidates)} methods, evaluated on {result.customers} customers of the "
        f"{ranker.settings.horizon_days} days from {result.evaluated_at}.{left_out}",
        parameters={
            **result.candidates[RANKER].parameters,
            "trained_at": ", ".join(map(str, ranker.days)),
            "judged_at": result.evaluated_at,
            "judged_ranker_trained_at": ", ".join(map(str, result.evaluated_ranker_days)),
            "features": len(ranker.columns),
            "left_out": ", ".join(result.left_out) or "none",
        },
        metrics=_mlflow_metrics(result, RANKER),
        documents={"evaluation.json": _document(result)},
        drawings=_drawings(result),
        tables={"evaluation": candidates_table(result)},
    )


def candidate_runs(work: Work[RankerSettings], _: object, result: EvaluationResult) -> Iterator[CandidateRun]:
    """Yield an MLflow run for every candidate with its metrics.

    The ranker and the baselines also have a figure; so do all candidates where `work.explains_all`.
    """
    explained = {RANKER, *BASELINES.values()}
    for candidate in result.candidates.values():
        figures: dict[str, Drawing] = {}
        if work.explains_all or candidate.name in explained:
            figure = mlflow_plots.method_figure(result.evaluation.table, candidate.name)
            figures = {"method.png": (figure, 9.0, 3.2)}
        yield CandidateRun(
            candidate.name,
            candidate.parameters,
            _mlflow_metrics(result, candidate.name),
            figures=figures,
        )


def _mlflow_metrics(result: EvaluationResult, method: str) -> dict[str, float | None]:
    """Return the metrics of one candidate by target and list, with intervals, and its gain over the baselines."""
    table = result.evaluation.table
    names = [
        *(f"{name}{end}" for name in LIST_METRICS for end in ("", "_low", "_high")),
        "coverage",
        "novelty",
    ]
    found: dict[str, float | None] = {"seconds": result.candidates[method].seconds}
    for row in _records(table[table["method"] == method]):
        found |= {f"{row['target']}/{row['list']}/{name}": row[name] for name in names}
    for name in LISTS:
        gain, where = result.evaluation.gains[(name, method)], f"ndcg_over_{BASELINES[name]}/{name}"
        found |= {f"{where}/value": gain.value, f"{where}/low": gain.low, f"{where}/high": gain.high}
    return found


def _document(result: EvaluationResult) -> dict[str, Any]:
    return {
        "left_out": dict(result.left_out),
        "candidates": _records(result.evaluation.table),
        "by_segment": _records(result.evaluation.by_segment),
        "features": result.ranker.columns,
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows for JSON, with None for missing values."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _drawings(result: EvaluationResult) -> dict[str, Drawing]:
    evaluation = result.evaluation
    return {
        "candidates": (
            mlflow_plots.evaluation_figure(evaluation.table),
            10.0,
            1.2 + 0.24 * len(result.candidates),
        ),
        "segments": (mlflow_plots.segment_figure(evaluation.by_segment), 10.0, 3.6),
    }
