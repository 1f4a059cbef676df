"""The trained model of demand: the rows of `models.demand_model`, and what Dagster and MLflow show of a training.

Belongs here: the callbacks for the engine of trained models. Does not: the evaluation (`model`, `evaluation`), SQL
(`queries`), the wording of checks (`checks`).
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.demand import checks, mlflow_plots
from clm_dagster.domains.demand.backtest import MEASURES
from clm_dagster.domains.demand.checkpoints import checkpointed_fit, checkpointed_run
from clm_dagster.domains.demand.diagnostics import ArimaDiagnostics, diagnose_arima
from clm_dagster.domains.demand.evaluation import BANDS, KEPT, DemandEvaluation
from clm_dagster.domains.demand.gates import BASELINE, demand_verdict
from clm_dagster.domains.demand.model import (
    DAY,
    WEEK,
    DemandSettings,
    evaluate_candidates,
    fit_policies,
    panels_of,
)
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.queries import SeriesInputs, read_training
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.domains.demand.served import REGISTERED, example
from clm_dagster.platform.markdown import bold, markdown_table
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.tracking import data_hash
from clm_dagster.platform.trained_models.metrics import Metric, metrics_of, ten_decimals
from clm_dagster.platform.trained_models.training import CandidateRun, Gate, Notes, Report, TrainedModel
from clm_dagster.statistics.evaluation import Verdict

METRICS = ("series", *MEASURES, *BANDS)
GATE = "On held-out dates, the chosen daily forecasts beat the eight-week mean."
# Starting a process takes seconds, so processes pay off only for many series.
MIN_SERIES_FOR_PROCESSES = 60

Policies = Mapping[str, ForecastPolicy]
DemandModel = TrainedModel[DemandSettings, SeriesInputs, DemandEvaluation, Policies]
DemandWork = Work[DemandSettings]


def demand_model(settings: DemandSettings) -> DemandModel:
    """Return the trained model of demand."""
    return TrainedModel(
        registered=REGISTERED,
        reads=("demand_keys", "demand_series", "demand_promotions"),
        settings=settings,
        horizon_days=settings.horizon_days,
        read=read_training,
        evaluate=evaluate,
        report=report,
        notes=notes,
        candidates=candidates,
        baseline=BASELINE,
        gate=Gate(GATE, verdict),
        metrics=METRICS,
        checks=checks.TRAINING,
        carries_over=False,
    )


def evaluate(work: DemandWork, inputs: SeriesInputs) -> DemandEvaluation:
    """Evaluate the candidates. Checkpoints let an interrupted run resume."""
    start = time.perf_counter()
    series = len(inputs.series[KEYS].drop_duplicates())
    settings = replace(work.settings, jobs=processes(series, work.threads))
    folder = work.checkpoint_dir / work.code_version
    with threadpool_limits(limits=1):
        panels = panels_of(inputs.series, work.day, settings, inputs.promotions)
        evaluations = evaluate_candidates(panels, settings, checkpointed_run(folder))
        policies = fit_policies(evaluations, settings, checkpointed_fit(folder))
    return DemandEvaluation(panels, evaluations, policies, settings, time.perf_counter() - start)


def processes(series: int, threads: int) -> int:
    """Return the number of processes for a number of series. threads: the setting, 0 for one per processor."""
    return (threads or os.cpu_count() or 1) if series >= MIN_SERIES_FOR_PROCESSES else 1


def verdict(_: SeriesInputs, result: DemandEvaluation, champion: None, is_newest: bool) -> Verdict:
    """Return whether the policy becomes champion. It is compared with a baseline, not with the previous champion."""
    return demand_verdict(result.gain, result.evaluated_series, is_newest)


def report(work: DemandWork, inputs: SeriesInputs, result: DemandEvaluation) -> Report[Policies]:
    """Return the table row, the fitted model and the metrics of a training."""
    kept = result.table[result.table["method"].isin(KEPT)]
    return Report(
        fitted=result.policies,
        example=example(inputs.series, result.policies),
        data_hash=data_hash(inputs.series),
        trained_as_of=work.day,
        row={
            "horizon_weeks": result.settings.horizon_weeks,
            "learnt_from": result.panels[DAY].dates[0].date(),
            "series": len(result.panels[DAY]),
            "origins": result.origins,
            **result.summary,
            "combined": json.dumps(result.combined),
            "seconds": round(result.seconds, 1),
            "accuracy": kept.to_json(orient="records"),
        },
        metrics=[metric for row in _records(result.means) for metric in _metrics(row)],
    )


def _metrics(row: Mapping[str, float]) -> list[Metric]:
    """Return the metrics of one method for one period and hierarchy level."""
    values = {name: ten_decimals(row[name]) for name in METRICS}
    return metrics_of(str(row["method"]), values, f"{row['period']}/{row['level']}")


def _records(frame: pd.DataFrame) -> list[dict[str, float]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def candidates(_: DemandWork, inputs: SeriesInputs, result: DemandEvaluation) -> Iterator[CandidateRun]:
    """Yield an MLflow run for each hierarchy level, with the means of every method."""
    for hierarchy_level, rows in result.means.groupby("level"):
        metrics = {
            f"{row['period']}/{row['method']}/{name}": row[name]
            for row in _records(rows)
            for name in (*MEASURES, *BANDS)
            if pd.notna(row[name])
        }
        yield CandidateRun(str(hierarchy_level), {"series": int(rows["series"].max())}, metrics)


def notes(work: DemandWork, inputs: SeriesInputs, result: DemandEvaluation) -> Notes:
    """Return what Dagster and MLflow show of a training."""
    means = result.means
    arima_diagnostics = dict(_arima_diagnostics(work, inputs, result))
    return Notes(
        evaluated=checks.evaluated(result.origins),
        parameters=_parameters(result),
        metrics=result.summary | {"seconds": result.seconds},
        texts={
            "series.csv": result.table.to_csv(index=False),
            "held_out.csv": result.held_out.to_csv(index=False),
            **{
                f"arima/{_file(name)}.txt": _summary(diagnostics)
                for name, diagnostics in arima_diagnostics.items()
            },
        },
        documents={"contest.json": {"contest": json.loads(means.to_json(orient="records"))}},
        drawings={"contest": (mlflow_plots.candidates_plot(means), 11.0, 3.2)} if len(means) else {},
        figures={
            f"arima/{_file(name)}.png": (
                mlflow_plots.residual_plot(name.capitalize(), diagnostics),
                14.0,
                3.4,
            )
            for name, diagnostics in arima_diagnostics.items()
        },
        tables={"standings": _standings(means)},
        checks=checks.check_training(str(work.day), result.coverage, result.origins),
    )


def _parameters(result: DemandEvaluation) -> dict[str, object]:
    settings = result.settings
    return {
        "horizon_days": settings.horizon_days,
        "horizon_weeks": settings.horizon_weeks,
        "series": len(result.panels[DAY]),
        "origins": result.origins,
        "spacing_days": settings.spacing_days,
    } | {
        f"combined_{period}s_{series_class}": ", ".join(methods)
        for period, combined in result.combined.items()
        for series_class, methods in combined.items()
    }


def _arima_diagnostics(
    work: DemandWork, inputs: SeriesInputs, result: DemandEvaluation
) -> Iterator[tuple[str, ArimaDiagnostics]]:
    """Yield the ARIMA diagnostics of the largest series of each period, with the name of the series."""
    for period, panel in result.panels.items():
        for series_key in mlflow_plots.largest(inputs.series):
            hierarchy_level, key, measure = series_key
            name = f"{period}s of {measure} {'' if hierarchy_level == 'shop' else f'{hierarchy_level} {key}'}".strip()
            row = int((panel.keys[KEYS] == list(series_key)).all(axis=1).to_numpy().argmax())
            try:
                yield name, diagnose_arima(panel, row)
            except ValueError as error:
                work.log(f"No ARIMA diagnostics of the {name}: {error}")


def _summary(diagnostics: ArimaDiagnostics) -> str:
    """Return the summary by statsmodels and the tests of the residuals."""
    return f"{diagnostics.text}\n\nLjung-Box\n{diagnostics.ljung_box.to_string(index=False)}\n"


def _file(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _standings(means: pd.DataFrame) -> str:
    """Return the means of every method over all series as a Markdown table, best daily MASE first."""
    if means.empty:
        return "The history is too short to evaluate any forecast."
    shown = [(name, period) for period in (DAY, WEEK) for name in ("mase", "rmsse", "wape", "bias")]
    rows = []
    for method, of_method in means.groupby("method"):
        cells = [_mean_of_levels(of_method[of_method["period"] == period], name) for name, period in shown]
        name = bold(method) if method == "chosen" else str(method)
        rows.append((name, *cells))
    columns = ("method", "MASE, days", "RMSSE", "WAPE", "bias", "MASE, weeks", "RMSSE", "WAPE", "bias")
    return markdown_table(columns, sorted(rows, key=lambda row: (row[1], row)))


def _mean_of_levels(rows: pd.DataFrame, name: str) -> str:
    """Return the mean over all series, from the means of the levels, as text."""
    known = rows[rows[name].notna()]
    return f"{(known[name] * known['series']).sum() / known['series'].sum():.3f}" if len(known) else ""
