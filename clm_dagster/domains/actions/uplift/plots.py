"""Plots of a training of the uplift model, a row of panels for each arm.

Belongs here: pure drawing. Does not: the plotted numbers (`contest`, `values`).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from clm_dagster.domains.actions.uplift.contest import ArmResult
from clm_dagster.domains.actions.uplift.names import RESPONSE
from clm_dagster.domains.actions.uplift.values import PolicyResult, policy_results
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, Drawing, label, style
from clm_dagster.statistics.uplift import uplift_by_decile, uplift_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The formula of `qini_area`, as people read it.
FORMULA = (
    "G(k) = (Y1 - Y0 N1 / N0) / n x 10,000 over the k contacts with the largest effects;  "
    "area = mean of G(s) - s G(1)"
)
_LINE = "#c9d3da"
_WIDTH, _HEIGHT = 10.5, 3.4


def drawings(arms: Mapping[str, ArmResult]) -> dict[str, Drawing]:
    """Return the figures: Qini curves, uplift by decile, values of policies."""
    values = {name: policy_results(arm) for name, arm in arms.items()}
    height = _HEIGHT * len(arms)
    return {
        "qini": (_rows(arms, lambda axes, name: _curves(axes, name, arms[name])), _WIDTH, height),
        "uplift_by_decile": (
            _rows(arms, lambda axes, name: _deciles(axes, name, arms[name])),
            _WIDTH,
            height,
        ),
        "policy_values": (
            _rows(arms, lambda axes, name: _policies(axes, name, values[name])),
            _WIDTH,
            height,
        ),
    }


def _rows(
    arms: Mapping[str, ArmResult], draw_arm: Callable[["Axes", str], None]
) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        panels = figure.subplots(len(arms), 1, squeeze=False)
        for axes, name in zip(panels.ravel(), arms, strict=True):
            draw_arm(axes, name)

    return draw


def _curves(axes: "Axes", name: str, arm: ArmResult) -> None:
    test, winner = arm.split.test, arm.model.winner
    for ranking, color in ((winner, ACCENT), (RESPONSE, WARM)):
        curve = uplift_curve(arm.effects[ranking], test.treatment, test.outcome)
        area = arm.candidates[ranking].test.area
        text = f"{ranking.replace('_', ' ')}: {area.value:.1f} [{area.low:.1f}, {area.high:.1f}]"
        axes.plot(curve.share, curve.gain, color=color, linewidth=1.5, label=text)
    axes.plot([0, 1], [0, curve.gain[-1]], color=_LINE, linewidth=1, label="random order")
    style(axes, f"Qini curve of {label(name)}, {arm.split.how}", "additional orders per 10,000")
    axes.set_xlabel(f"share contacted, largest effects first\n{FORMULA}", fontsize=8, color=INK)
    _legend(axes)


def _deciles(axes: "Axes", name: str, arm: ArmResult) -> None:
    test = arm.split.test
    table = uplift_by_decile(arm.effects[arm.model.winner], test.treatment, test.outcome)
    errors = np.abs([table["uplift"] - table["low"], table["high"] - table["uplift"]])
    axes.axhline(0, color=_LINE, linewidth=1)
    axes.bar(table["decile"], table["uplift"], 0.6, color=PALE, label="measured, 95% interval")
    axes.errorbar(table["decile"], table["uplift"], yerr=errors, fmt="none", ecolor=INK, elinewidth=1)
    axes.scatter(table["decile"], table["predicted"], color=WARM, s=22, zorder=3, label="predicted")
    style(axes, f"Effect of {label(name)} by decile of the predicted one", "additional orders per contact")
    axes.set_xlabel("decile, largest effects first", fontsize=8, color=INK)
    _legend(axes)


def _policies(axes: "Axes", name: str, found: list[PolicyResult]) -> None:
    places = np.arange(len(found))[::-1]
    axes.axvline(0, color=_LINE, linewidth=1)
    for shift, color, text, values in (
        (0.12, ACCENT, "doubly robust", [one.doubly_robust for one in found]),
        (-0.12, PALE, "inverse propensity", [one.weighted for one in found]),
    ):
        means = np.array([value.value for value in values])
        errors = [
            means - np.array([value.low for value in values]),
            np.array([value.high for value in values]) - means,
        ]
        axes.errorbar(means, places + shift, xerr=errors, fmt="o", color=color, markersize=4, label=text)
    axes.set_yticks(places, [f"{one.policy} ({one.contacted:.0%})" for one in found])
    style(axes, f"Additional orders per customer by who gets {label(name)}")
    axes.set_xlabel(
        "over contacting nobody, 95% interval; in brackets: share contacted", fontsize=8, color=INK
    )
    axes.tick_params(axis="y", labelsize=8)
    _legend(axes)


def _legend(axes: "Axes") -> None:
    """Add the legend beside the panel, where it hides no interval."""
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
