"""Figures that the UI shows in metadata."""

import base64
from typing import TYPE_CHECKING

from clm_dagster.domains.shop.charts import revenue_chart
from clm_dagster.platform.charts import figure_markdown, style
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
