"""Forecast accuracy: from the backtest of the model, and against the actual sales since the forecast.

Belongs here: the rows of `marts.forecast_accuracy`, and the comparison of earlier forecasts with actual sales. Does
not: the backtest itself (`backtest`), SQL (`queries`).
"""

import io
from datetime import date

import numpy as np
import pandas as pd

from clm_dagster.domains.demand.names import BASELINE, DAY, WEEK
from clm_dagster.domains.demand.queries import AccuracyInputs
from clm_dagster.domains.demand.series import KEYS, daily_panel
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Work

COLUMNS = (
    "period",
    *KEYS,
    "steps",
    "wape",
    "smape",
    "bias",
    "coverage_80",
    "coverage_95",
    "actual",
    "forecast",
)


def evaluate_forecasts(work: Work[bool], inputs: AccuracyInputs) -> TableOutput:
    """Return the backtest of what serves, and the accuracy so far of the forecasts of the last quarter.

    The setting of the table is whether refused models serve.
    """
    choices = {
        period: inputs.trainings.choose(work.tracking, DemandSettings().horizon_days, period, work.settings)
        for period in (DAY, WEEK)
    }
    parts = [
        _backtest(choice.row, period, choice.is_baseline)
        for period, choice in choices.items()
        if choice.row is not None
    ]
    parts += [
        _realised_rows(day, forecasts, inputs.sold[day], pd.Timestamp(work.partition.as_of))
        for day, forecasts in inputs.forecasts.items()
    ]
    filled = [part.reindex(columns=work.columns) for part in parts if len(part)]
    rows = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=work.columns)
    return TableOutput(rows, _shop_wape(rows))


def _backtest(training: pd.Series, period: str, is_baseline: bool) -> pd.DataFrame:
    """Return the measures that a training stored for every series: of what serves and of both baselines.

    is_baseline: whether the baseline serves; the methods that the refused model chose are then left out.
    """
    kept = pd.read_json(io.StringIO(training["accuracy"]), orient="records", dtype={"key": str})
    if kept.empty:
        return kept
    kept = kept[kept["period"] == period]
    by_model = kept["method"] == "chosen"
    if is_baseline:
        kept = kept[~by_model]
    is_chosen = kept["method"] == (BASELINE if is_baseline else "chosen")
    return kept.assign(
        model=kept["model"].where(kept["method"] == "chosen", kept["method"]),
        kind="backtest",
        is_chosen=is_chosen,
        forecast_as_of=training["as_of"],
        model_version=training["model_version"],
    )


def _realised_rows(
    day: date, forecasts: pd.DataFrame, sold: pd.DataFrame, until: pd.Timestamp
) -> pd.DataFrame:
    """Return the accuracy, up to `until`, of the forecasts that were made on a day."""
    series = ["period", *KEYS]
    models = forecasts[[*series, "model", "outcome", "model_version"]].drop_duplicates(series)
    return (
        realised_accuracy(forecasts, sold, until)
        .merge(models, on=series)
        .assign(kind="realised", is_chosen=True, forecast_as_of=pd.Timestamp(day))
    )


def _shop_wape(rows: pd.DataFrame) -> dict[str, float]:
    """Return the mean WAPE of the realised daily forecasts of the whole shop, by measure."""
    shop = rows[(rows["kind"] == "realised") & (rows["level"] == "shop") & (rows["period"] == DAY)]
    return {
        f"wape_of_{measure}_days": round(float(found["wape"].mean()), 3)
        for measure, found in shop.groupby("measure")
        if found["wape"].notna().any()
    }


def realised_accuracy(
    forecasts: pd.DataFrame, series: pd.DataFrame, known_until: pd.Timestamp
) -> pd.DataFrame:
    """Return the accuracy over the steps that ended by `known_until`, one row for each period and series.

    forecasts: of one as_of. series: the actual sales, as in core.demand_series; a series that is absent from it sold
    nothing. A week counts once all its days are known. wape and bias are null where nothing was sold.
    """
    days = np.where(forecasts["period"] == "week", 7, 1)
    ended = forecasts["date"] + pd.to_timedelta(days, unit="D") <= pd.Timestamp(known_until)
    rows, days = forecasts[ended], days[ended]
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    actual = _sold(series, rows, days, known_until)
    error = rows["mean"].to_numpy() - actual
    both = np.abs(rows["mean"].to_numpy()) + np.abs(actual)
    step_errors = rows[["period", *KEYS]].assign(
        steps=1,
        actual=actual,
        forecast=rows["mean"],
        error=error,
        off=np.abs(error),
        smape=np.where(both > 0, 2 * np.abs(error) / np.where(both > 0, both, 1), 0),
        coverage_80=(actual >= rows["q10"]) & (actual <= rows["q90"]),
        coverage_95=(actual >= rows["q025"]) & (actual <= rows["q975"]),
    )
    groups = step_errors.groupby(["period", *KEYS], as_index=False)
    found = groups.agg(
        steps=("steps", "sum"),
        actual=("actual", "sum"),
        forecast=("forecast", "sum"),
        error=("error", "sum"),
        off=("off", "sum"),
        smape=("smape", "mean"),
        coverage_80=("coverage_80", "mean"),
        coverage_95=("coverage_95", "mean"),
    )
    sold = found["actual"].where(found["actual"] > 0)
    return found.assign(wape=found["off"] / sold, bias=found["error"] / sold)[[*COLUMNS]]


def _sold(
    series: pd.DataFrame, rows: pd.DataFrame, days: np.ndarray, known_until: pd.Timestamp
) -> np.ndarray:
    """Return the actual sales in the period of each row, from cumulative sums over the days."""
    if series.empty:
        return np.zeros(len(rows))
    panel = daily_panel(series, pd.Timestamp(known_until).date())
    totals = np.pad(
        np.nan_to_num(panel.values).cumsum(axis=1), ((0, 1), (1, 0))
    )  # a last row of zeros: not there
    numbered = panel.keys.assign(row=np.arange(len(panel)))
    row = rows[KEYS].merge(numbered, on=KEYS, how="left")["row"].fillna(len(panel)).to_numpy().astype(int)
    start = (rows["date"] - panel.dates[0]).dt.days.to_numpy()
    first, last = np.clip(start, 0, panel.size), np.clip(start + days, 0, panel.size)
    sold: np.ndarray = totals[row, last] - totals[row, first]
    return sold
