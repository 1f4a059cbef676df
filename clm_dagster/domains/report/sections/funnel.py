"""The funnel by channel: from visits to orders in the four weeks before as_of."""

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.specs import chart, names, quantity, tooltip
from clm_dagster.domains.report.words import Words, brief, table_rows

_STEPS = ("sessions", "views", "carts", "orders")


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None for a shop without visits."""
    relation = "marts.funnel_daily"
    if not reading.has(relation):
        return None
    sums = ", ".join(f"coalesce(sum({step}), 0)::bigint as {step}" for step in _STEPS)
    rows = reading.rows(
        f"""
        select channel, {sums}, sum(orders) / nullif(sum(sessions), 0) as conversion
        from {relation} where activity_date < $as_of and activity_date >= $as_of - interval 28 day
        group by 1 having sum(sessions) > 0 order by sum(sessions) desc, 1
        """
    )
    if not rows:
        return None
    visits, orders = (sum(row[step] for row in rows) for step in ("sessions", "orders"))
    lead = words("funnel.lead", n=visits, orders=orders, share=words.wording.percent(orders / visits))
    return Section("funnel", words("funnel.title"), lead, figures=[_figure(words, rows)])


def _figure(words: Words, rows: list[Row]) -> Figure:
    columns = [
        words.column("channel", codes="channel"),
        *words.columns(sessions="count", views="count", carts="count", orders="count", conversion="percent"),
    ]
    shown = [
        {
            "channel": brief(words.name("channel", row["channel"]), 30),
            "step": words(f"columns.{step}"),
            "amount": row[step],
            "said": words.wording.number(row[step]),
            "share": words.wording.percent(row[step] / row["sessions"]),
        }
        for row in rows[:5]
        for step in _STEPS
    ]
    steps = [words(f"columns.{step}") for step in _STEPS]
    channels = list(dict.fromkeys(str(row["channel"]) for row in shown))
    colours = ["$accent", "$watch", "$fresh", "$lost", "$other"]
    spec = chart(
        shown,
        mark={"type": "bar", "cornerRadiusEnd": 3},
        encoding={
            "y": names("step", steps, axis={"ticks": False, "domain": False}),
            "yOffset": names("channel", channels),
            "x": quantity("amount"),
            "color": {
                **names("channel"),
                "scale": {"domain": channels, "range": colours[: len(channels)]},
                "legend": {"title": None},
            },
            "tooltip": tooltip(
                channel=words("columns.channel"),
                step=words("columns.step"),
                said=words("columns.count"),
                share=words("columns.of_sessions"),
            ),
        },
    )
    best = max(rows, key=lambda row: row["conversion"] or 0)
    sentence = words(
        "funnel.sentence",
        channel=brief(words.name("channel", best["channel"])),
        share=words.text("percent", best["conversion"]),
    )
    height = 80 + 26 * len(_STEPS) * len(channels)
    return Figure(
        "funnel_channels",
        words("funnel.chart"),
        sentence,
        Table(columns, table_rows(rows, columns)),
        spec,
        height,
        words("funnel.note"),
    )
