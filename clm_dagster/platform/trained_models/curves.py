"""Learning curves over the customers of a training's sample, for Dagster and MLflow.

Belongs here: metrics and a drawing of a curve. Does not: computing it (`statistics.evaluation.learning`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from clm_dagster.platform.charts import ACCENT, INK, Drawing, style
from clm_dagster.platform.trained_models.training import CandidateRun
from clm_dagster.statistics.evaluation.learning import LearningCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curve_metrics(curve: LearningCurve | None) -> dict[str, float]:
    """Return the gain of the last doubling as metrics of an MLflow run; none without a curve."""
    if curve is None:
        return {}
    return {
        "sample/gain/value": curve.gain.value,
        "sample/gain/low": curve.gain.low,
        "sample/gain/high": curve.gain.high,
        "sample/is_enough": float(curve.is_enough),
    }


def with_curve(run: CandidateRun, curve: LearningCurve | None) -> CandidateRun:
    """Return the run of the winner with the metric by customers and its drawing; as it is without a curve."""
    if curve is None:
        return run
    steps = {step: dict(values) for step, values in run.steps.items()}
    for size, value in curve.values.items():
        steps.setdefault(size, {})[f"sample/{curve.metric}"] = value
    figures = {
        f"{name}.png": (_positioned(draw), width, height)
        for name, (draw, width, height) in curve_drawing(curve).items()
    }
    return replace(run, steps=steps, figures={**run.figures, **figures})


def _positioned(draw: Callable[["Figure"], None]) -> Callable[["Figure"], None]:
    """Return a drawing that positions its own axes, as figures of candidates do."""

    def positioned(figure: "Figure") -> None:
        figure.subplots_adjust(left=0.1, right=0.97, top=0.88, bottom=0.19)
        draw(figure)

    return positioned


def curve_drawing(curve: LearningCurve | None) -> dict[str, Drawing]:
    """Return the drawing of a curve by its name; none without a curve."""
    if curve is None:
        return {}
    found = curve

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        sizes, values = list(found.values), list(found.values.values())
        axes.plot(sizes, values, marker="o", markersize=4, color=ACCENT)
        # What the test cannot tell from the last value.
        axes.axhspan(values[-1] - found.half_width, values[-1] + found.half_width, color=ACCENT, alpha=0.12)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        style(axes, f"{found.metric} by number of customers to learn from")
        axes.set_xlabel(
            "the same test customers; band: half the interval of the gain by the last doubling",
            fontsize=8,
            color=INK,
        )

    return {"learning_curve": (draw, 7.0, 2.8)}
