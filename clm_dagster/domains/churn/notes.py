"""Metadata, plots and MLflow runs of a churn training.

Belongs here: texts, plots and diagnostics. Does not belong here: anything that table rows depend on (`report`).
"""

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from scipy.special import expit
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn import checks, mlflow_plots
from clm_dagster.domains.churn.candidates import BASELINES, BLENDS, Candidate, candidates, log_odds
from clm_dagster.domains.churn.diagnostics import importance, learning_curve
from clm_dagster.domains.churn.evaluate import CandidateResult, EvaluationResult
from clm_dagster.domains.churn.queries import TrainingInputs
from clm_dagster.domains.churn.report import metrics_of_candidate
from clm_dagster.domains.churn.table_settings import Settings
from clm_dagster.platform.charts import Drawing
from clm_dagster.platform.markdown import bold, markdown_table
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.curves import curve_drawing, curve_metrics, with_curve
from clm_dagster.platform.trained_models.metrics import flat
from clm_dagster.platform.trained_models.samples import check_enough
from clm_dagster.platform.trained_models.training import CandidateRun, Notes

_DIAGNOSED_ROWS, _SHUFFLES = 1_500, 5


def notes(work: Work[Settings], inputs: TrainingInputs, result: EvaluationResult) -> Notes:
    """Return the metadata and MLflow content of a training."""
    split, best = result.split, result.results[result.winner]
    days, reason = inputs.suggestion
    return Notes(
        evaluated=f"{len(result.results)} candidates, evaluated at {split.test}; {result.race}",
        parameters={
            "winner": result.winner,
            "horizon_days": split.horizon_days,
            "active_days": inputs.settings.active_days,
            "spacing_days": split.spacing_days,
            "training_snapshots": len(split.training),
            "trained_as_of": split.training[-1],
            "tested_as_of": split.test,
            "level": result.base_rate.method,
            "shape": best.shape.kind,
            "threshold": f"{best.threshold:.4f}",
        },
        metrics=_run_metrics(best) | curve_metrics(result.learning),
        documents={
            "evaluation.json": {
                "leaks": list(result.leaks),
                "level": asdict(result.base_rate),
                "candidates": [
                    asdict(metric) for one in result.results.values() for metric in metrics_of_candidate(one)
                ],
                "race": {"said": str(result.race), "log_loss": dict(result.race.losses)},
            }
        },
        drawings=_drawings(result),
        tables={"evaluation": _table(result)},
        facts={"suggested_horizon": reason} | ({"suggested_horizon_days": days} if days else {}),
        checks=[
            *checks.check_training(work.label, result, inputs.suggestion),
            check_enough(work.label, inputs.snapshots.sample, result.learning),
        ],
    )


def _drawings(result: EvaluationResult) -> dict[str, Drawing]:
    height = 1.2 + 0.22 * len(result.results)
    return {
        "candidates": (mlflow_plots.evaluation_page(result), 9.0, height),
        "level": (mlflow_plots.base_rate_page(result), 8.0, 2.4),
        **curve_drawing(result.learning),
    }


def _table(result: EvaluationResult) -> str:
    """Return the evaluation as a markdown table, best validation first, with a note on calibration and on the race."""
    columns = ("candidate", "validation log loss", "AUC", "over recency", "Brier", "ECE before", "ECE", "F1")
    table = markdown_table(
        (*columns, "lift at 10%", "s"),
        (
            (
                bold(one.name) if one.name == result.winner else one.name,
                f"{one.validation['log_loss']:.4f}",
                f"{one.test['roc_auc']:.3f}",
                one.auc_over_recency,
                f"{one.test['brier']:.3f}",
                f"{one.uncalibrated['calibration_error']:.3f}",
                f"{one.test['calibration_error']:.3f}",
                f"{one.test['f1']:.3f}",
                f"{one.test['lift_at_10']:.2f}",
                f"{one.seconds:.1f}",
            )
            for one in sorted(result.results.values(), key=lambda one: one.validation["log_loss"])
        ),
    )
    said = str(result.race)
    return f"{table}\n\n{mlflow_plots.calibration_note(result)}\n\n{said[0].upper()}{said[1:]}."


def candidate_runs(
    work: Work[Settings], inputs: TrainingInputs, result: EvaluationResult
) -> Iterator[CandidateRun]:
    """Yield every candidate with its figures, and the winner and the baselines with diagnostics on the test snapshot.

    The other candidates have diagnostics if the training explains all of them.
    """
    definitions = {candidate.name: candidate for candidate in candidates(inputs.settings.lightgbm)}
    for one in result.results.values():
        if work.explains_all or one.name == result.winner or one.name in BASELINES:
            work.log(f"{one.name}: diagnostics")
            with threadpool_limits(limits=1):
                run = _explained(one, definitions.get(one.name), result)
        else:
            run = _candidate_run(one, result)
        yield with_curve(run, result.learning) if one.name == result.winner else run
    for name in result.race.dropped:
        loss = {"race/log_loss": result.race.losses[name]}
        yield CandidateRun(name, {"dropped": "in the race", "exact_reasons": result.race.exact[name]}, loss)


def _candidate_run(one: CandidateResult, result: EvaluationResult) -> CandidateRun:
    members = {"members": ", ".join(BLENDS[one.name])} if one.name in BLENDS else {}
    raced = {"race/log_loss": result.race.losses[one.name]} if one.name in result.race.losses else {}
    return CandidateRun(
        name=one.name,
        parameters={
            **one.parameters,
            **members,
            "exact_reasons": one.exact,
            "shape": one.shape.kind,
            "threshold": f"{one.threshold:.4f}",
        },
        metrics=_run_metrics(one) | raced,
    )


def _explained(one: CandidateResult, candidate: Candidate | None, result: EvaluationResult) -> CandidateRun:
    """Return a candidate's run with importance, learning curve and a page of plots."""
    importances, curve = _diagnose(one, candidate, result)
    x, y = result.inputs.x[result.split.test], result.inputs.y[result.split.test]
    page = mlflow_plots.candidate_page(
        mlflow_plots.CandidateDiagnostics(
            one.name,
            y,
            expit(log_odds(result.fitted[one.name], x)),
            result.test_probabilities[one.name].to_numpy(),
            one.threshold,
            importances,
            curve,
        )
    )
    steps = {} if curve is None else {int(row["snapshots"]): row for row in curve.to_dict("records")}
    return replace(
        _candidate_run(one, result),
        steps={
            step: {f"learning/{name}": float(row[name]) for name in ("roc_auc", "log_loss")}
            for step, row in steps.items()
        },
        figures={"candidate.png": (page, 11.0, 5.2)},
        documents={"importance.json": {"importance": importances.to_dict("records")}},
    )


def _diagnose(
    one: CandidateResult, candidate: Candidate | None, result: EvaluationResult
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the permutation importance on a sample, and the learning curve unless the candidate is a blend."""
    x, y = result.inputs.x[result.split.test], result.inputs.y[result.split.test]
    used = list(x.columns)
    if candidate is not None and candidate.columns is not None:
        used = [name for name in used if name in candidate.columns]
    rows = np.sort(np.random.default_rng(0).permutation(len(y))[:_DIAGNOSED_ROWS])
    importances = importance(
        result.fitted[one.name], x.iloc[rows][used].reset_index(drop=True), y[rows], _SHUFFLES
    )
    curve = (
        None if candidate is None else learning_curve(candidate, one.parameters, result.inputs, result.split)
    )
    return importances, curve


def _run_metrics(one: CandidateResult) -> dict[str, float]:
    """Return the metrics of a candidate by their MLflow names."""
    return flat(
        {
            "seconds": one.seconds,
            "validation": one.validation,
            "test_before": one.uncalibrated,
            "test": one.test,
            "test_at_constant_pace": one.test_at_constant_rate,
            "auc_over_recency": one.auc_over_recency,
            "auc_over_winner": one.auc_over_winner,
        }
    )
