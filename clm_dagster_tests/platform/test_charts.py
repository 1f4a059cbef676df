"""Figures that the UI shows in metadata."""

import base64
from typing import TYPE_CHECKING

import pytest
from matplotlib.text import Text

from clm_dagster.domains.shop.charts import revenue_chart
from clm_dagster.platform.charts import figure_markdown, label, make_figure, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(figure: "Figure") -> None:
    axes = figure.subplots()
    axes.bar([1, 2], [3, 4])
    style(axes, "A title", "units")


def test_a_figure_is_markdown_with_a_reproducible_png() -> None:
    text = figure_markdown(draw, "two bars")
    assert text.startswith("![two bars](data:image/png;base64,") and text.endswith(")")
    assert base64.b64decode(text.split(",", 1)[1][:-1])[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(text) < 100_000
    assert figure_markdown(draw, "two bars") == text


def test_the_revenue_chart_needs_a_day(connection: Connection) -> None:
    connection.execute("create table marts.shop_daily (sales_date date, net_revenue decimal(18, 4))")
    assert revenue_chart(connection) is None
    connection.execute(
        "insert into marts.shop_daily select date '2024-01-01' + n::integer, 100 * (n % 7) from range(700) as t(n)"
    )
    picture = revenue_chart(connection)
    assert picture is not None and len(picture) < 100_000


HOSTILE = ["$x$", "_hidden", "a\nb", "$\\frac{1", "[x](http://e.vil)", "<b>"]


def test_names_of_a_shop_are_labels_as_they_are() -> None:
    """A dollar sign starts no formula, an underscore hides nothing in the legend, a label is one line."""

    def names(figure: "Figure") -> None:
        axes = figure.subplots()
        for place, name in enumerate(HOSTILE):
            axes.barh(place, 1, label=label(name))
        axes.set_yticks(range(len(HOSTILE)), [label(name) for name in HOSTILE])
        axes.legend()
        style(axes, HOSTILE[0])

    figure = make_figure(names)
    assert figure_markdown(names, HOSTILE[4]).startswith("![&#91;x&#93;(http:\u2060//e.vil)](data:image/png")
    figure.canvas.draw()
    axes = figure.axes[0]
    expected = ["$x$", " _hidden", "a b", "$\\frac{1", "[x](http://e.vil)", "<b>"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == expected
    legend = axes.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == expected
    assert not any(text.get_parse_math() for text in [*axes.get_yticklabels(), *legend.get_texts()])
    assert not axes.title.get_parse_math()


LONG = "Candidates of the forecast and the error that each of them makes in the test, lower is better"


def two_panels(figure: "Figure") -> None:
    for number, axes in enumerate(figure.subplots(1, 2)):
        axes.barh(["a rather long name", "another"], [1, 2])
        style(axes, f"{number + 1}. {LONG}")


@pytest.mark.parametrize("fitted", [True, False])
def test_a_long_title_reaches_neither_the_next_panel_nor_the_edge(fitted: bool) -> None:
    figure = make_figure(two_panels, 7, 3, fitted)
    figure.canvas.draw()
    left, right = figure.axes
    titles = [axes.findobj(lambda artist: artist.get_gid() == "title")[0] for axes in figure.axes]
    boxes = [title.get_window_extent() for title in titles]
    assert min(axes.get_window_extent().width for axes in figure.axes) > 150
    assert boxes[0].x1 < right.get_window_extent().x0 and boxes[1].x1 < figure.bbox.x1
    assert boxes[0].x0 == pytest.approx(left.get_window_extent().x0)
    shown = [" ".join(axes.get_title(loc="left").split()) for axes in figure.axes]
    assert shown == [f"1. {LONG}", f"2. {LONG}"]


def test_a_title_with_enough_room_stays_as_it_is() -> None:
    figure = make_figure(draw)
    titles = [text for text in figure.axes[0].findobj(Text) if text.get_gid() == "title"]
    assert [(text.get_text(), text.get_fontsize()) for text in titles if isinstance(text, Text)] == [
        ("A title", 11)
    ]
