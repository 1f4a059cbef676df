"""What people see of a training of churn: the UI's tables and pictures, and MLflow's runs.

Belongs here: words, plots and diagnostics. Does not: anything that a row of a table depends on (`training`).
"""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pandas as pd
from scipy.special import expit
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn import checks, mlflow_plots
from clm_dagster.domains.churn.candidates import BLENDS, Candidate, candidates, log_odds
from clm_dagster.domains.churn.diagnostics import importance, learning_curve
from clm_dagster.domains.churn.evaluate import CandidateResult, EvaluationResult
from clm_dagster.domains.churn.queries import Settings, TrainingInputs
from clm_dagster.domains.churn.report import metrics_of_candidate
from clm_dagster.platform.charts import Drawing
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.metrics import flat
from clm_dagster.platform.trained_models.training import CandidateRun, Notes

_DIAGNOSED_ROWS, _SHUFFLES = 1_500, 5


def notes(work: Work[Settings], inputs: TrainingInputs, result: EvaluationResult) -> Notes:
    """Return what people see of a training."""
    split, best = result.split, result.results[result.winner]
    days, reason = inputs.suggestion
    return Notes(
        evaluated=f"{len(result.results)} candidates, judged at {split.test}",
        parameters={
            "winner": result.winner,
            "horizon_days": split.horizon_days,
            "active_days": inputs.settings.active_days,
            "spacing_days": split.spacing_days,
            "training_snapshots": len(split.training),
            "trained_as_of": split.training[-1],
            "tested_as_of": split.test,
            "level": result.level.method,
            "shape": best.shape.kind,
            "threshold": f"{best.threshold:.4f}",
        },
        metrics=_run_metrics(best),
        documents={
            "contest.json": {
                "leaks": list(result.leaks),
                "level": asdict(result.level),
                "contest": [
                    asdict(metric) for one in result.results.values() for metric in metrics_of_candidate(one)
                ],
            }
        },
        drawings=_drawings(result),
        tables={"standings": _table(result)},
        facts={"suggested_horizon": reason} | ({"suggested_horizon_days": days} if days else {}),
        checks=checks.check_training(str(work.day), result, inputs.suggestion),
    )


def _drawings(result: EvaluationResult) -> dict[str, Drawing]:
    height = 1.2 + 0.22 * len(result.results)
    return {
        "contest": (mlflow_plots.evaluation_page(result), 9.0, height),
        "level": (mlflow_plots.level_page(result), 8.0, 2.4),
    }


def _table(result: EvaluationResult) -> str:
    """Return the evaluation as a markdown table, best by validation first."""
    lines = [
        "| candidate | validation log loss | AUC | over recency | Brier | ECE before | ECE | F1 | lift at 10% | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in sorted(result.results.values(), key=lambda one: one.validation["log_loss"]):
        name = f"**{one.name}**" if one.name == result.winner else one.name
        lines.append(
            f"| {name} | {one.validation['log_loss']:.4f} | {one.test['roc_auc']:.3f} | {one.auc_over_recency} "
            f"| {one.test['brier']:.3f} | {one.before['calibration_error']:.3f} "
            f"| {one.test['calibration_error']:.3f} | {one.test['f1']:.3f} | {one.test['lift_at_10']:.2f} "
            f"| {one.seconds:.1f} |"
        )
    return "\n".join(lines)


def candidate_runs(
    work: Work[Settings], _: TrainingInputs, result: EvaluationResult
) -> Iterator[CandidateRun]:
    """Yield every candidate with its diagnostics on the test snapshot."""
    entries = {entry.name: entry for entry in candidates()}
    for number, one in enumerate(result.results.values(), 1):
        work.log(f"{one.name}, {number} of {len(result.results)}: diagnostics")
        with threadpool_limits(limits=1):
            run = _candidate_run(one, entries.get(one.name), result)
        yield run


def _candidate_run(one: CandidateResult, entry: Candidate | None, result: EvaluationResult) -> CandidateRun:
    needed, curve = _diagnose(one, entry, result)
    x, y = result.given.x[result.split.test], result.given.y[result.split.test]
    page = mlflow_plots.candidate_page(
        mlflow_plots.CandidateDiagnostics(
            one.name,
            y,
            expit(log_odds(result.fitted[one.name], x)),
            result.test_probabilities[one.name].to_numpy(),
            one.threshold,
            needed,
            curve,
        )
    )
    members = {"members": ", ".join(BLENDS[one.name])} if one.name in BLENDS else {}
    steps = {} if curve is None else {int(row["snapshots"]): row for row in curve.to_dict("records")}
    return CandidateRun(
        name=one.name,
        parameters={
            **one.parameters,
            **members,
            "exact_reasons": one.exact,
            "shape": one.shape.kind,
            "threshold": f"{one.threshold:.4f}",
        },
        metrics=_run_metrics(one),
        steps={
            step: {f"learning/{name}": float(row[name]) for name in ("roc_auc", "log_loss")}
            for step, row in steps.items()
        },
        figures={"contestant.png": (page, 15.0, 7.0)},
        documents={"importance.json": {"importance": needed.to_dict("records")}},
    )


def _diagnose(
    one: CandidateResult, entry: Candidate | None, result: EvaluationResult
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return permutation importance on some customers, and the learning curve of one that is no blend."""
    x, y = result.given.x[result.split.test], result.given.y[result.split.test]
    used = list(x.columns)
    if entry is not None and entry.columns is not None:
        used = [name for name in used if name in entry.columns]
    rows = np.sort(np.random.default_rng(0).permutation(len(y))[:_DIAGNOSED_ROWS])
    needed = importance(
        result.fitted[one.name], x.iloc[rows][used].reset_index(drop=True), y[rows], _SHUFFLES
    )
    curve = None if entry is None else learning_curve(entry, one.parameters, result.given, result.split)
    return needed, curve


def _run_metrics(one: CandidateResult) -> dict[str, float]:
    """Return every metric of a candidate under the names that MLflow shows."""
    return flat(
        {
            "seconds": one.seconds,
            "validation": one.validation,
            "test_before": one.before,
            "test": one.test,
            "test_at_constant_pace": one.test_purchase_level,
            "auc_over_recency": one.auc_over_recency,
            "auc_over_winner": one.auc_over_winner,
        }
    )
