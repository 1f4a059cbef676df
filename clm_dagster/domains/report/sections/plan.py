"""Planned actions with their expected value."""

from collections.abc import Sequence

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.specs import chart, names, quantity, tooltip
from clm_dagster.domains.report.words import Words, brief, by_segment, table_rows


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None without a plan of this as_of."""
    rows = planned(reading)
    if not rows:
        return None
    totals = sums_by_play(rows)
    if not totals:
        return Section("plan", words("plan.title"), words("plan.nothing"))
    lead = words(
        "plan.lead",
        n=sum(row["customers"] for row in totals),
        gain=words.money(sum(row["expected_gain"] for row in totals)),
        cost=words.money(sum(row["expected_cost"] for row in totals)),
    )
    return Section("plan", words("plan.title"), lead, figures=[_figure(words, rows, totals)])


def planned(reading: PageReading) -> list[Row]:
    """Return customers to contact, expected gain and cost by play, channel and segment; nobody who is held out."""
    if reading.newest("marts.next_best_actions") != reading.as_of:
        return []
    segment = "'undetermined'"
    joined = ""
    if reading.newest("core.rfm_scores") == reading.as_of:
        segment = "coalesce(states.segment, 'none')"
        joined = """
            left join core.rfm_states as states
                on plan.as_of = states.as_of and plan.customer_id = states.customer_id
        """
    return reading.rows(
        f"""
        select
            plan.play,
            plan.action,
            plan.channel,
            {segment} as segment,
            count(*) as customers,
            sum(plan.expected_gain)::double as expected_gain,
            sum(plan.expected_cost)::double as expected_cost
        from marts.next_best_actions as plan
        {joined}
        where plan.as_of = $as_of and plan.arm = 'treated'
        group by 1, 2, 3, 4
        order by expected_gain desc, 1, 2, 3, 4
        """
    )


def sums_by_play(rows: Sequence[Row]) -> list[Row]:
    """Return the sums of each play and channel, the largest gain first; customers without an action are left out."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row["play"] is None:
            continue
        total = found.setdefault(
            (row["play"], row["channel"]),
            {
                "play": row["play"],
                "action": row["action"],
                "channel": row["channel"],
                "customers": 0,
                "expected_gain": 0.0,
                "expected_cost": 0.0,
            },
        )
        for name in ("customers", "expected_gain", "expected_cost"):
            total[name] += row[name]
    return sorted(found.values(), key=lambda row: (-row["expected_gain"], row["play"]))


def _figure(words: Words, rows: list[Row], totals: list[Row]) -> Figure:
    columns = [
        words.column("play", codes="play"),
        words.column("channel", codes="channel"),
        words.column("segment", codes="segment"),
        *words.columns(customers="count", expected_gain="money", expected_cost="money"),
    ]
    acting = [row for row in rows if row["play"] is not None]
    order = list(dict.fromkeys(_label(words, row) for row in totals))
    shown = [
        {
            "segment": row["segment"],
            "label": _label(words, row),
            "gain": row["expected_gain"],
            "customers": row["customers"],
        }
        for row in acting
    ]
    y = names("label", order, axis={"ticks": False, "domain": False, "labelLimit": 230})
    spec = chart(
        shown,
        follows_segment=True,
        transform=[
            {
                "aggregate": [
                    {"op": "sum", "field": "gain", "as": "total"},
                    {"op": "sum", "field": "customers", "as": "people"},
                ],
                "groupby": ["label"],
            },
            {"calculate": "format(datum.total, ',.2f')", "as": "said"},
            {"calculate": "format(datum.people, ',')", "as": "said_people"},
        ],
        encoding={"y": y, "x": quantity("total", words("columns.expected_gain"))},
        layer=[
            {
                "mark": {"type": "bar", "color": "$good", "cornerRadiusEnd": 3},
                "encoding": {
                    "tooltip": tooltip(
                        label=words("columns.play"),
                        said_people=words("columns.customers"),
                        said=words("columns.expected_gain"),
                    )
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5, "color": "$ink"},
                "encoding": {"text": {"field": "said_people", "type": "nominal"}},
            },
            # Room for the text of the longest bar, also when a segment is chosen.
            {
                "transform": [{"calculate": "datum.total * 1.1", "as": "room"}],
                "mark": {"type": "point", "opacity": 0},
                "encoding": {"x": quantity("room", words("columns.expected_gain"))},
            },
        ],
    )
    table = Table(columns, table_rows(acting, columns), "segment")
    return Figure(
        "planned_actions",
        words("plan.chart"),
        _best(words, acting),
        table,
        spec,
        60 + 34 * len(order),
        words("plan.note"),
        segment_sentences=by_segment(acting, lambda own: _best(words, own)),
    )


def _best(words: Words, rows: Sequence[Row]) -> str:
    """Return the sentence about the action with the largest gain."""
    first = sums_by_play(rows)[0]
    return words(
        "plan.sentence",
        play=words.name("play", first["play"]),
        n=first["customers"],
        gain=words.money(first["expected_gain"]),
    )


def _label(words: Words, row: Row) -> str:
    return brief(words.name("play", row["play"]), 40)
