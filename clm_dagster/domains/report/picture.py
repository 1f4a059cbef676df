"""The headline chart as a picture, for programs that show no page: a chat message, an e-mail.

Belongs here: drawing it. Does not: the chart on the page (`sections.revenue`), who shows it (`posting`).

It has no words, since the fonts of a server may lack those of a language.
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.report.reading import PageReading
from clm_dagster.domains.report.sections.weeks import shop_weeks, week_forecast
from clm_dagster.domains.report.words import number
from clm_dagster.platform.charts import ACCENT, PALE, figure_png, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WEEKS = 27


def headline_picture(reading: PageReading) -> bytes | None:
    """Return the sales of the last weeks and their forecast with its 80% band as a PNG, None without a whole week."""
    weeks, forecast = shop_weeks(reading)[-_WEEKS:], week_forecast(reading)
    if not weeks:
        return None

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        days = [row["day"] for row in weeks]
        axes.plot(
            days, [number(row["gross_revenue"]) for row in weeks], color=ACCENT, linewidth=2, marker="."
        )
        if forecast:
            later = [row["day"] for row in forecast]
            axes.fill_between(
                later,
                [row["q10"] for row in forecast],
                [row["q90"] for row in forecast],
                color=PALE,
                alpha=0.5,
                linewidth=0,
            )
            axes.plot(later, [row["mean"] for row in forecast], color=ACCENT, linewidth=1.5, linestyle="--")
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        style(axes, f"{reading.shop} {reading.as_of:%Y-%m-%d}", reading.currency)

    return figure_png(draw)
