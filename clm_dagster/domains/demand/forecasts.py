"""Forecasts of every series at a snapshot.

Belongs here: the rows of `marts.demand_forecasts`. Does not: the forecasting itself (`predict`), SQL (`queries`).
"""

from collections.abc import Mapping

import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.demand import asset_charts, checks
from clm_dagster.domains.demand.baseline import baseline_key
from clm_dagster.domains.demand.model import forecast_rows, panels_of, predict_panels
from clm_dagster.domains.demand.names import DAY
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.queries import SeriesInputs
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.platform.charts import Drawing
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.trained_models.scoring import NothingToScoreError, Scoring

DemandScoring = Scoring[DemandSettings, Mapping[str, ForecastPolicy]]


def forecast_series(scoring: DemandScoring, inputs: SeriesInputs) -> TableOutput:
    """Forecast every series, days and weeks each by the champion or by the eight-week mean.

    Raise NothingToScoreError where nothing was sold, or nothing was trained by this date.
    """
    if inputs.series.empty:
        raise NothingToScoreError(
            "there are no sales before this snapshot, so there is nothing to forecast from."
        )
    settings = scoring.settings
    policies = _policies(scoring)
    with threadpool_limits(limits=1):
        panels = panels_of(inputs.series, scoring.work.day, settings, inputs.promotions)
        rows = forecast_rows(predict_panels(policies, panels, settings))
    named = rows.rename(columns={"method": "model"})
    return TableOutput(
        pd.concat(
            [scoring.stamped(named[named["period"] == period], period) for period in policies],
            ignore_index=True,
        ),
        scoring.work.pictures(_drawings(inputs.series, rows))
        | _expected(rows, settings.horizon_days)
        | {"series": len(panels[DAY])}
        | scoring.facts(),
        checks.check_sums(scoring.work.label, rows),
    )


def _policies(scoring: DemandScoring) -> dict[str, ForecastPolicy]:
    """Return what serves each period."""
    found: dict[str, ForecastPolicy] = {}
    for period, served in scoring.served.items():
        key = baseline_key(period) if served.choice.is_baseline else period
        # A shop without a full week at the training has no weekly policy.
        if served.fitted is not None and key in served.fitted:
            found[period] = served.fitted[key]
    if not found:
        raise NothingToScoreError("Nothing was trained by this date, so this snapshot has no forecasts.")
    return found


def _drawings(series: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Drawing]:
    return {
        f"forecasts_by_{period}": (asset_charts.forecast_plot(series, rows, period), 11.0, 7.0)
        for period in rows["period"].unique()
    }


def _expected(rows: pd.DataFrame, days: int) -> dict[str, float]:
    """Return the expected total of the whole shop, by measure."""
    shop = rows[(rows["period"] == DAY) & (rows["level"] == "shop")].groupby("measure")["mean"].sum()
    return {f"expected_{name}_in_{days}_days": round(float(value), 2) for name, value in shop.items()}
