"""Figures as markdown that the Dagster UI shows inline.

Belongs here: one look for every chart. Does not: what is drawn (each domain draws its own).
"""

import base64
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # matplotlib takes a second to import: only where a chart is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# How to draw on a figure, and its width and height in inches.
Draw = Callable[["Figure"], None]
Drawing = tuple[Draw, float, float]
INK = "#22313f"
ACCENT = "#2a6f97"
PALE = "#a9c9dd"
WARM = "#d1603d"


def figure_markdown(
    draw: Callable[["Figure"], None], alt: str, width: float = 8.0, height: float = 3.4
) -> str:
    """Draw on a fresh figure and return it as a markdown image with its bytes inside.

    Sizes are inches. Kept under about 100 KB: it is stored in Dagster's event log.
    """
    png = figure_png(draw, width, height)
    return f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})"


def pictures_of(draws: Mapping[str, Drawing]) -> dict[str, Any]:
    """Asset metadata of several pictures: each a drawing and its width and height in inches, by name."""
    import dagster as dg

    return {
        name: dg.MetadataValue.md(figure_markdown(draw, name.replace("_", " "), width, height))
        for name, (draw, width, height) in draws.items()
    }


def figure_png(draw: Callable[["Figure"], None], width: float = 8.0, height: float = 3.4) -> bytes:
    """Draw on a fresh figure and return it as a PNG; sizes are inches."""
    buffer = io.BytesIO()
    make_figure(draw, width, height).savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def make_figure(
    draw: Callable[["Figure"], None], width: float = 8.0, height: float = 3.4, fitted: bool = True
) -> "Figure":
    """Draw on a fresh figure; sizes are inches. One that places its own axes need not be `fitted`, which takes time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained" if fitted else None)
    FigureCanvasAgg(figure)
    draw(figure)
    return figure


def style(axes: "Axes", title: str, ylabel: str = "") -> None:
    """The house's look: a title at the left, no box, a light grid behind."""
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.set_ylabel(ylabel, fontsize=9, color=INK)
    axes.tick_params(labelsize=9, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
