"""Figures as markdown that the Dagster UI shows inline.

Belongs here: the common style of all charts. Does not: any chart; each domain draws its own.
"""

import base64
import io
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clm_dagster.platform.markdown import escape

if TYPE_CHECKING:  # matplotlib takes a second to import, so it is imported where a chart is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# Draws on a figure.
Draw = Callable[["Figure"], None]
# A draw function with the figure's width and height in inches.
Drawing = tuple[Draw, float, float]
INK = "#22313f"
ACCENT = "#2a6f97"
PALE = "#a9c9dd"
WARM = "#d1603d"
# The background of a text that a line may cross.
BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def figure_markdown(
    draw: Callable[["Figure"], None], alt: str, width: float = 8.0, height: float = 3.4
) -> str:
    """Draw on a new figure and return it as a markdown image with an inline PNG.

    Sizes are in inches. Keep the image under about 100 KB: it is stored in Dagster's event log.
    """
    return png_markdown(figure_png(draw, width, height), alt)


def png_markdown(png: bytes, alt: str) -> str:
    """Return a PNG as a markdown image with the picture inline."""
    return f"![{escape(alt)}](data:image/png;base64,{base64.b64encode(png).decode()})"


def is_picture(value: object) -> bool:
    """Whether a metadata value is an image."""
    import dagster as dg

    return isinstance(value, dg.MarkdownMetadataValue) and (value.md_str or "").startswith("![")


def figure_metadata(draws: Mapping[str, Drawing]) -> dict[str, Any]:
    """Return asset metadata with one inline image per drawing."""
    return png_metadata({name: figure_png(*drawing) for name, drawing in draws.items()})


def png_metadata(pngs: Mapping[str, bytes]) -> dict[str, Any]:
    """Return asset metadata with one inline image per PNG, for pictures that are used elsewhere too."""
    import dagster as dg

    return {
        name: dg.MetadataValue.md(png_markdown(png, name.replace("_", " "))) for name, png in pngs.items()
    }


def figure_png(
    draw: Callable[["Figure"], None], width: float = 8.0, height: float = 3.4, fitted: bool = True
) -> bytes:
    """Draw on a new figure and return it as a PNG. Sizes are in inches. fitted: see `make_figure`."""
    buffer = io.BytesIO()
    make_figure(draw, width, height, fitted).savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def make_figure(
    draw: Callable[["Figure"], None], width: float = 8.0, height: float = 3.4, fitted: bool = True
) -> "Figure":
    """Draw on a new figure and return it. Sizes are in inches.

    fitted: use matplotlib's constrained layout, which takes time; not needed where `draw` positions its axes.
    Dollar signs are dollar signs: no chart has a formula, and a product may be called "$x$".
    """
    from matplotlib import rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not only while drawing: matplotlib makes tick labels when the figure is saved.
    rcParams["text.parse_math"] = False
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained" if fitted else None)
    FigureCanvasAgg(figure)
    draw(figure)
    fit_titles(figure)
    return figure


_TITLE = "title"  # matplotlib's id of the titles that `style` sets
_SMALL_TITLE = 9.5  # points


def fit_titles(figure: "Figure") -> None:
    """Make titles smaller, and break them into lines, where they reach the next panel or the edge of the figure.

    matplotlib would clip them, or make the panels narrower.
    """
    titles = {axes: title for axes in figure.axes for title in _titles(axes)}
    # The layout takes time and decides how wide a panel is; before it, the panel's share of the figure is known.
    if not any(_width(title) > _share(axes) for axes, title in titles.items()):
        return
    for title in titles.values():
        title.set_visible(False)  # the layout would take its middle for a part of the panel
    figure.draw_without_rendering()
    for axes, title in titles.items():
        title.set_visible(True)
        if _width(title) > (room := _room(axes)):
            title.set_fontsize(min(_SMALL_TITLE, title.get_fontsize()))
            _break_lines(title, room)


def _titles(axes: "Axes") -> "list[Text]":
    from matplotlib.text import Text

    # With an id, because matplotlib has three titles, of which `Axes.title` is another one.
    return [text for text in axes.findobj(Text) if isinstance(text, Text) and text.get_gid() == _TITLE]


def _width(title: "Text") -> float:
    return float(title.get_window_extent().width)


def _share(axes: "Axes") -> float:
    """Return the pixels that a panel has at least, without margins, before the layout is known."""
    return 0.9 * float(axes.get_window_extent().width)


def _room(axes: "Axes") -> float:
    """Return the pixels for a title: the panel's width beside other panels, else up to the edge of the figure."""
    box = axes.get_window_extent()
    others = [other.get_window_extent() for other in axes.figure.axes if other is not axes]
    if any(other.y0 < box.y1 and box.y0 < other.y1 for other in others):
        return float(box.width)
    return float(axes.figure.bbox.x1 - box.x0) - 4


def _break_lines(title: "Text", room: float) -> None:
    text = title.get_text()
    for columns in range(len(text), 7, -1):
        if _width(title) <= room:
            return
        title.set_text(textwrap.fill(text, columns, break_long_words=False))


def label(text: object) -> str:
    """Return a name or an id of the shop as a label: on one line, and not hidden.

    matplotlib leaves a label out of the legend if it starts with an underscore.
    """
    line = " ".join(str(text).split())
    return f" {line}" if line.startswith("_") else line


def style(axes: "Axes", title: str, ylabel: str = "", size: float = 11) -> None:
    """Apply the common style: title at the left, no frame, light grid in the background. size: of the title."""
    axes.set_title(title, loc="left", fontsize=size, color=INK, fontweight="bold", gid=_TITLE)
    axes.set_ylabel(ylabel, fontsize=9, color=INK)
    axes.tick_params(labelsize=9, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
