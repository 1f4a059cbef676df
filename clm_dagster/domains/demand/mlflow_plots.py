"""Plots of a training: the mean accuracy of all candidates, and the residuals of an ARIMA.

Belongs here: drawing figures. Does not: computing the data (`evaluation`, `diagnostics`), charts of other tables
(`asset_charts`).
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clm_dagster.domains.demand.diagnostics import ArimaDiagnostics
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, Draw, label, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 6


def largest(series: pd.DataFrame, count: int = SHOWN) -> list[tuple[str, str, str]]:
    """Return level, key, measure of the series to show: the shop's revenue and units, then the largest revenues."""
    totals = series[series["key"] != "other"].groupby(KEYS)["value"].sum()
    found = [("shop", "all", "revenue"), ("shop", "all", "units")]
    parts = totals[totals.index.get_level_values("measure") == "revenue"].drop(
        index=[found[0]], errors="ignore"
    )
    found += list(parts.sort_values(ascending=False, kind="stable").index)
    return [key for key in found if key in totals.index][:count]


def candidates_plot(means: pd.DataFrame) -> Draw:
    """Draw the mean MASE of every candidate over all series. means: period, level, method, series, mase."""

    def draw(figure: "Figure") -> None:
        periods = [p for p in ("day", "week") if (means["period"] == p).any()]
        for axes, period in zip(
            figure.subplots(1, len(periods), squeeze=False).ravel(), periods, strict=True
        ):
            rows = means[(means["period"] == period) & means["mase"].notna()]
            weighed = (
                rows.assign(total=rows["mase"] * rows["series"]).groupby("method")[["total", "series"]].sum()
            )
            bars = (weighed["total"] / weighed["series"]).sort_values(ascending=False)
            colours = [WARM if name == "chosen" else PALE for name in bars.index]
            axes.barh([name.replace("_", " ") for name in bars.index], bars.to_numpy(), color=colours)
            for at, value in enumerate(bars):
                axes.text(value, at, f" {value:.3f}", va="center", fontsize=8, color=INK)
            style(axes, f"Error of past {period}s (MASE, lower is better)")
            axes.grid(visible=False)
            axes.margins(x=0.15)

    return draw


def residual_plot(title: str, diagnostics: ArimaDiagnostics) -> Draw:
    """Draw the residuals of an ARIMA over time, their autocorrelation and their normal quantiles."""
    residuals = diagnostics.residuals

    def draw(figure: "Figure") -> None:
        from matplotlib.dates import ConciseDateFormatter
        from scipy.stats import norm

        over_time, correlation, quantiles = figure.subplots(1, 3, width_ratios=[2, 1.3, 1])
        over_time.plot(diagnostics.dates[-residuals.size :], residuals, color=ACCENT, linewidth=0.7)
        style(over_time, f"{label(title)}: {diagnostics.arima.orders}, standardised residuals", size=9)
        over_time.xaxis.set_major_formatter(ConciseDateFormatter(over_time.xaxis.get_major_locator()))
        over_time.margins(x=0.02)
        lags = np.arange(1, min(36, residuals.size // 2))
        centred = residuals - residuals.mean()
        total = float(centred @ centred) or 1.0
        found = [float(centred[lag:] @ centred[:-lag]) / total for lag in lags]
        correlation.bar(lags, found, color=PALE)
        for edge in (-1.96, 1.96):
            correlation.axhline(edge / np.sqrt(residuals.size), color=WARM, linewidth=0.8, linestyle="--")
        p_values = ", ".join(f"{p:.2f}" for p in diagnostics.ljung_box["p_value"])
        style(correlation, f"Autocorrelation (Ljung-Box p {p_values or '-'})", size=9)
        ordered = np.sort(residuals)
        at = norm.ppf((np.arange(ordered.size) + 0.5) / ordered.size)
        quantiles.plot(at, ordered, ".", color=ACCENT, markersize=3)
        quantiles.plot(at, at, color=WARM, linewidth=0.8)
        style(quantiles, "Normal quantiles", size=9)

    return draw
