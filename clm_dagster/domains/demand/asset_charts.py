"""Charts that Dagster shows for the tables of demand: the candidates, the forecasts and the calendar.

Belongs here: drawing figures. Does not: computing the data, plots for MLflow only (`mlflow_plots`).
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clm_dagster.domains.demand.mlflow_plots import candidates_plot, largest
from clm_dagster.domains.demand.series import KEYS, daily_panel
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, Draw, figure_markdown, label, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_DAYS, SHOWN_WEEKS = 84, 52


def evaluation_chart(connection: Connection) -> str | None:
    """Return a chart of the mean MASE of every candidate in the newest training, or None without one."""
    means = connection.frame(
        "select period, level, method, series, mase from marts.demand_contest "
        "where as_of = (select max(as_of) from marts.demand_contest) order by all"
    )
    if means.empty:
        return None
    return figure_markdown(candidates_plot(means), "forecast candidates", width=11, height=3.2)


def forecast_plot(series: pd.DataFrame, forecasts: pd.DataFrame, period: str) -> Draw:
    """Draw the history, the forecast and both prediction intervals of the largest series, one panel each.

    series: level, key, measure, day, value before as_of. forecasts: rows of one as_of, with period and date.
    """
    rows = forecasts[forecasts["period"] == period]
    as_of = rows["date"].min()
    shown, step = (SHOWN_DAYS, 1) if period == "day" else (SHOWN_WEEKS, 7)

    def draw(figure: "Figure") -> None:
        from matplotlib.dates import ConciseDateFormatter

        picked = largest(series)
        grid = figure.subplots(-(-len(picked) // 2), 2, squeeze=False).ravel()
        for axes in grid[len(picked) :]:
            axes.set_axis_off()
        for axes, key in zip(grid, picked, strict=False):
            series_forecasts = rows[(rows[KEYS] == list(key)).all(axis=1)]
            series_history = series[(series[KEYS] == list(key)).all(axis=1)]
            panel = daily_panel(series_history, as_of.date())
            values = np.nan_to_num(panel.values[0])
            values = values[values.size % step :].reshape(-1, step).sum(axis=1)[-shown:]
            dates = pd.date_range(end=as_of - pd.Timedelta(days=step), periods=values.size, freq=f"{step}D")
            _forecast(axes, dates, values, series_forecasts, period)
            hierarchy_level, name, measure = key
            named = "Shop" if hierarchy_level == "shop" else f"{hierarchy_level.capitalize()} {label(name)}"
            title = f"{named}: {measure}"
            style(
                axes,
                f"{title} ({series_forecasts['method'].iloc[0]})"
                if "method" in series_forecasts and len(series_forecasts)
                else title,
                size=9,
            )
            # Leave room for the legend at the top of every panel.
            axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.xaxis.set_major_formatter(
                ConciseDateFormatter(axes.xaxis.get_major_locator(), show_offset=False)
            )
            axes.tick_params(labelsize=8)
        grid[0].legend(frameon=False, fontsize=8, ncols=4, loc="upper left")

    return draw


def _forecast(
    axes: "Axes", dates: pd.DatetimeIndex, values: np.ndarray, rows: pd.DataFrame, period: str
) -> None:
    axes.plot(dates, values, color=INK, linewidth=0.9, label=f"sold per {period}")
    axes.fill_between(
        rows["date"], rows["q025"], rows["q975"], color=PALE, alpha=0.45, linewidth=0, label="95%"
    )
    axes.fill_between(rows["date"], rows["q10"], rows["q90"], color=PALE, linewidth=0, label="80%")
    axes.plot(rows["date"], rows["mean"], color=ACCENT, linewidth=1.6, label="forecast")


def calendar_plot(calendar: pd.DataFrame) -> Draw:
    """Draw the decomposition of the shop's revenue, or of its units where there is no revenue.

    The upper panel shows daily sales, the trend, anomalies and holidays; the lower one the weekly season. calendar:
    rows of `components.components`.
    """
    shop = calendar[calendar["level"] == "shop"]
    measure = "revenue" if (shop["measure"] == "revenue").any() else "units"
    rows = shop[shop["measure"] == measure].sort_values("date")

    def draw(figure: "Figure") -> None:
        decomposition, weekly = figure.subplots(2, 1, height_ratios=[2, 1])
        decomposition.plot(rows["date"], rows["value"], color=PALE, linewidth=0.9, label="sold per day")
        decomposition.plot(rows["date"], rows["trend"], color=ACCENT, linewidth=1.8, label="trend")
        anomalies, holidays = rows[rows["is_anomaly"]], rows[rows["day_kind"] == "holiday"]
        decomposition.plot(
            anomalies["date"], anomalies["value"], "o", color=WARM, markersize=5, label="anomaly"
        )
        decomposition.plot(holidays["date"], holidays["value"], "|", color=INK, markersize=9, label="holiday")
        style(decomposition, f"The shop's {measure} by day: trend, holidays, anomalies")
        decomposition.yaxis.set_major_formatter("{x:,.0f}")
        decomposition.legend(frameon=False, fontsize=8, ncols=4, loc="upper left")
        season = rows[rows["day_kind"] == "open"].groupby(rows["date"].dt.day_of_week)["seasonal"].mean()
        names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        weekly.yaxis.set_major_formatter("{x:,.0f}")
        weekly.bar([names[day] for day in season.index], season.to_numpy(), color=PALE)
        style(weekly, "Sales of each weekday above or below the trend")

    return draw
