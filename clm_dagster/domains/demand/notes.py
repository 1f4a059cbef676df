"""Metadata, plots and MLflow runs of a training of demand.

Belongs here: texts, tables and plots. Does not: anything that table rows depend on (`training`).
"""

import json
from collections.abc import Iterator

import pandas as pd

from clm_dagster.domains.demand import checks, mlflow_plots
from clm_dagster.domains.demand.diagnostics import ArimaDiagnostics, diagnose_arima
from clm_dagster.domains.demand.evaluation import DemandEvaluation, records
from clm_dagster.domains.demand.names import BANDS, DAY, MEASURES, WEEK
from clm_dagster.domains.demand.queries import SeriesInputs
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.platform.markdown import bold, markdown_table
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.training import CandidateRun, Notes

DemandWork = Work[DemandSettings]
ARIMA = "arima"


def notes(work: DemandWork, inputs: SeriesInputs, result: DemandEvaluation) -> Notes:
    """Return the metadata and MLflow content of a training."""
    means = result.means
    # Without a backtest no ARIMA is fitted, and there is nothing to diagnose.
    arima_diagnostics = dict(_arima_diagnostics(work, inputs, result)) if result.origins else {}
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
        documents={"evaluation.json": {"candidates": json.loads(means.to_json(orient="records"))}},
        drawings={"candidates": (mlflow_plots.candidates_plot(means), 11.0, 3.2)} if len(means) else {},
        figures={
            f"arima/{_file(name)}.png": (
                mlflow_plots.residual_plot(name.capitalize(), diagnostics),
                11.0,
                2.8,
            )
            for name, diagnostics in arima_diagnostics.items()
        },
        tables={"evaluation": _candidates_table(means)},
        checks=checks.check_training(work.label, result.coverage, result.origins),
    )


def _parameters(result: DemandEvaluation) -> dict[str, object]:
    settings = result.settings
    found: dict[str, object] = {
        "horizon_days": settings.horizon_days,
        "horizon_weeks": settings.horizon_weeks,
        "series": len(result.panels[DAY]),
        "origins": result.origins,
        "spacing_days": settings.spacing_days,
    }
    for period, combined in result.combined.items():
        for series_class, methods in combined.items():
            found[f"combined_{period}s_{series_class}"] = ", ".join(methods)
    for period, evaluation in result.evaluations.items():
        if evaluation.dropped:
            found[f"dropped_{period}s"] = ", ".join(evaluation.dropped)
    return found


def _arima_diagnostics(
    work: DemandWork, inputs: SeriesInputs, result: DemandEvaluation
) -> Iterator[tuple[str, ArimaDiagnostics]]:
    """Yield the ARIMA diagnostics of the largest series of each period, with the name of the series.

    They are of the largest series of all and only where its forecasts use an ARIMA, unless the training explains all.
    """
    for period, panel in result.panels.items():
        for series_key in mlflow_plots.largest(inputs.series, mlflow_plots.SHOWN if work.explains_all else 1):
            if not work.explains_all and ARIMA not in result.policies[period].methods_of(series_key):
                continue
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


def _candidates_table(means: pd.DataFrame) -> str:
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


def candidate_runs(_: DemandWork, inputs: SeriesInputs, result: DemandEvaluation) -> Iterator[CandidateRun]:
    """Yield an MLflow run for each hierarchy level, with the means of every method."""
    for hierarchy_level, rows in result.means.groupby("level"):
        metrics = {
            f"{row['period']}/{row['method']}/{name}": row[name]
            for row in records(rows)
            for name in (*MEASURES, *BANDS)
            if pd.notna(row[name])
        }
        yield CandidateRun(str(hierarchy_level), {"series": int(rows["series"].max())}, metrics)
