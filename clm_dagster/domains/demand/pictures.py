"""Pictures of demand: history with forecasts and bands, the contest, what an ARIMA leaves in its residuals.

Belongs here: drawing on a figure. Does not: what is drawn (`model`, `outlook`, `diagnostics`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clm_dagster.domains.demand.diagnostics import Explained
from clm_dagster.domains.demand.series import KEYS, daily_panel
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[["Figure"], None]
SHOWN_DAYS, SHOWN_WEEKS, SHOWN = 84, 52, 6


def largest(series: pd.DataFrame, count: int = SHOWN) -> list[tuple[str, str, str]]:
    """level, key, measure of what is shown: the shop's revenue and units, then the revenue of the largest parts."""
    totals = series[series["key"] != "other"].groupby(KEYS)["value"].sum()
    found = [("shop", "all", "revenue"), ("shop", "all", "units")]
    parts = totals[totals.index.get_level_values("measure") == "revenue"].drop(
        index=[found[0]], errors="ignore"
    )
    found += list(parts.sort_values(ascending=False, kind="stable").index)
    return [key for key in found if key in totals.index][:count]


def forecast_page(series: pd.DataFrame, forecasts: pd.DataFrame, period: str) -> Draw:
    """History, forecast and both bands of the largest series, one small picture each.

    series: level, key, measure, day, value before as_of; forecasts: rows of one as_of, with period and date.
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
            mine = rows[(rows[KEYS] == list(key)).all(axis=1)]
            own = series[(series[KEYS] == list(key)).all(axis=1)]
            panel = daily_panel(own, as_of.date())
            values = np.nan_to_num(panel.values[0])
            values = values[values.size % step :].reshape(-1, step).sum(axis=1)[-shown:]
            dates = pd.date_range(end=as_of - pd.Timedelta(days=step), periods=values.size, freq=f"{step}D")
            _forecast(axes, dates, values, mine, period)
            level, name, measure = key
            title = f"{'Shop' if level == 'shop' else f'{level.capitalize()} {name}'}: {measure}"
            style(axes, f"{title} ({mine['method'].iloc[0]})" if "method" in mine and len(mine) else title)
            axes.title.set_fontsize(9)
            # Room above for the legend, in every picture alike.
            axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
            axes.tick_params(labelsize=8)
        grid[0].legend(frameon=False, fontsize=8, ncols=4, loc="upper left")

    return draw


def _forecast(
    axes: "Axes", dates: pd.DatetimeIndex, values: np.ndarray, rows: pd.DataFrame, period: str
) -> None:
    axes.plot(dates, values, color=INK, linewidth=0.9, label=f"sold a {period}")
    axes.fill_between(
        rows["date"], rows["q025"], rows["q975"], color=PALE, alpha=0.45, linewidth=0, label="95%"
    )
    axes.fill_between(rows["date"], rows["q10"], rows["q90"], color=PALE, linewidth=0, label="80%")
    axes.plot(rows["date"], rows["mean"], color=ACCENT, linewidth=1.6, label="forecast")


def contest_page(contest: pd.DataFrame) -> Draw:
    """Mean MASE of everyone over all series, days and weeks. contest: period, level, method, series, mase."""

    def draw(figure: "Figure") -> None:
        periods = [p for p in ("day", "week") if (contest["period"] == p).any()]
        for axes, period in zip(
            figure.subplots(1, len(periods), squeeze=False).ravel(), periods, strict=True
        ):
            rows = contest[(contest["period"] == period) & contest["mase"].notna()]
            weighed = (
                rows.assign(total=rows["mase"] * rows["series"]).groupby("method")[["total", "series"]].sum()
            )
            bars = (weighed["total"] / weighed["series"]).sort_values(ascending=False)
            colours = [WARM if name == "chosen" else PALE for name in bars.index]
            axes.barh([name.replace("_", " ") for name in bars.index], bars.to_numpy(), color=colours)
            for at, value in enumerate(bars):
                axes.text(value, at, f" {value:.3f}", va="center", fontsize=8, color=INK)
            style(axes, f"Mean MASE of the backtest, {period}s")
            axes.grid(visible=False)
            axes.margins(x=0.15)

    return draw


def residual_page(title: str, explained: Explained) -> Draw:
    """Residuals of an ARIMA over time, their autocorrelation, and how normal they are."""
    residuals = explained.residuals

    def draw(figure: "Figure") -> None:
        from scipy.stats import norm

        over_time, correlation, quantiles = figure.subplots(1, 3, width_ratios=[2, 1.3, 1])
        over_time.plot(explained.dates[-residuals.size :], residuals, color=ACCENT, linewidth=0.7)
        style(over_time, f"{title}: {explained.arima.orders}, standardised residuals")
        lags = np.arange(1, min(36, residuals.size // 2))
        centred = residuals - residuals.mean()
        total = float(centred @ centred) or 1.0
        found = [float(centred[lag:] @ centred[:-lag]) / total for lag in lags]
        correlation.bar(lags, found, color=PALE)
        for edge in (-1.96, 1.96):
            correlation.axhline(edge / np.sqrt(residuals.size), color=WARM, linewidth=0.8, linestyle="--")
        p_values = ", ".join(f"{p:.2f}" for p in explained.ljung_box["p_value"])
        style(correlation, f"Autocorrelation (Ljung-Box p {p_values or '-'})")
        ordered = np.sort(residuals)
        at = norm.ppf((np.arange(ordered.size) + 0.5) / ordered.size)
        quantiles.plot(at, ordered, ".", color=ACCENT, markersize=3)
        quantiles.plot(at, at, color=WARM, linewidth=0.8)
        style(quantiles, "Normal quantiles")
        for axes in (over_time, correlation, quantiles):
            axes.title.set_fontsize(9)

    return draw


def calendar_page(calendar: pd.DataFrame) -> Draw:
    """The shop's revenue or, without one, units taken apart: trend and season over what was sold, and odd days.

    calendar: rows of `components.components`.
    """
    shop = calendar[calendar["level"] == "shop"]
    measure = "revenue" if (shop["measure"] == "revenue").any() else "units"
    rows = shop[shop["measure"] == measure].sort_values("date")

    def draw(figure: "Figure") -> None:
        whole, weekly = figure.subplots(2, 1, height_ratios=[2, 1])
        whole.plot(rows["date"], rows["value"], color=PALE, linewidth=0.9, label="sold a day")
        whole.plot(rows["date"], rows["trend"], color=ACCENT, linewidth=1.8, label="trend")
        odd, shut = rows[rows["is_anomaly"]], rows[rows["day_kind"] == "holiday"]
        whole.plot(odd["date"], odd["value"], "o", color=WARM, markersize=5, label="anomaly")
        whole.plot(shut["date"], shut["value"], "|", color=INK, markersize=9, label="holiday")
        style(whole, f"The shop's {measure}, taken apart")
        whole.legend(frameon=False, fontsize=8, ncols=4, loc="upper left")
        season = rows[rows["day_kind"] == "open"].groupby(rows["date"].dt.day_of_week)["seasonal"].mean()
        names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        weekly.bar([names[day] for day in season.index], season.to_numpy(), color=PALE)
        style(weekly, "Open weekdays against the trend, mean of the year")

    return draw
