"""RFM segments: a map by revenue, and moves between segments with their causes."""

from datetime import datetime
from typing import Any

from clm_dagster.domains.report.layout import Flow, squarified
from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.sections.moving import flows_since, moving_spec
from clm_dagster.domains.report.specs import chart, names, quantity, tones, tooltip
from clm_dagster.domains.report.words import TONES, Words, number, table_rows, tone

# More ribbons are not told apart; the table has them all.
_MOST_FLOWS = 18
_ASPECT = 2.2


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None without customers in segments."""
    found = _segments(reading)
    if not found:
        return None
    total = sum(number(row["net_revenue"]) for row in found)
    best = found[0]
    customers = sum(row["customers"] for row in found)
    if total > 0 and number(best["net_revenue"]) > 0:
        lead = words(
            "segments.lead",
            n=customers,
            best=words.name("segment", best["segment"]),
            customers=words.wording.percent(best["customers"] / customers),
            revenue=words.wording.percent(number(best["net_revenue"]) / total),
        )
    else:
        lead = words("segments.lead_without_revenue", n=customers)
    figures = [_map(words, found, total), *_moves(reading, words)]
    return Section("segments", words("segments.title"), lead, figures=figures)


def _segments(reading: PageReading) -> list[Row]:
    relation = "core.rfm_states"
    if not reading.has(relation):
        return []
    return reading.rows(
        f"""
        select
            segment,
            count(*) as customers,
            sum(monetary) as net_revenue,
            avg(frequency)::double as order_days,
            median(recency_days)::double as recency_days
        from {relation} where as_of = $as_of
        group by segment
        order by sum(monetary) desc, segment
        """
    )


def _map(words: Words, found: list[Row], total: float) -> Figure:
    columns = [
        words.column("segment", codes="segment"),
        *words.columns(customers="count", net_revenue="money"),
        words.column("revenue_share", "percent"),
        *words.columns(order_days="number", recency_days="count"),
    ]
    shares = {row["segment"]: number(row["net_revenue"]) / total if total > 0 else None for row in found}
    rows = [{**row, "revenue_share": shares[row["segment"]]} for row in found]
    table = Table(columns, table_rows(rows, columns), "segment")
    # A tree map has no place for a segment whose returns exceed its purchases; the table has.
    shown = [row for row in rows if number(row["net_revenue"]) > 0]
    left_out = len(rows) - len(shown)
    note = words.joined(
        [words("segments.map_note"), *([words("segments.left_out", n=left_out)] if left_out else [])]
    )
    sentence = words(
        "segments.map_sentence",
        n=len(rows),
        names=words.wording.listed([words.name("segment", row["segment"]) for row in rows[:3]]),
    )
    spec = _tree_map(words, shown) if shown else None
    customers = sum(row["customers"] for row in found)
    ones = {
        str(row["segment"]): words(
            "segments.map_one",
            n=row["customers"],
            share=words.wording.percent(row["customers"] / customers),
            amount=words.money(row["net_revenue"]),
        )
        for row in found
    }
    return Figure(
        "segment_map", words("segments.map"), sentence, table, spec, 320, note, segment_sentences=ones
    )


def _tree_map(words: Words, rows: list[dict[str, Any]]) -> dict[str, Any]:
    places = squarified([number(row["net_revenue"]) for row in rows], _ASPECT)
    shown = [
        {
            "segment": row["segment"],
            "label": words.name("segment", row["segment"]),
            "tone": tone(row["segment"]),
            "x": place.x,
            "x2": place.x + place.width,
            "y": place.y,
            "y2": place.y + place.height,
            "mid_x": place.x + place.width / 2,
            "mid_y": place.y + place.height / 2,
            # Room for a name, in shares of the chart's width and height.
            "wide": place.width,
            "high": place.height,
            "label_width": _width(words.name("segment", row["segment"]), 13),
            "said_width": _width(words.money(row["net_revenue"]), 12),
            "said": words.money(row["net_revenue"]),
            "share": words.text("percent", row["revenue_share"]),
            "people": words.wording.number(row["customers"]),
        }
        for row, place in zip(rows, places, strict=True)
    ]
    unit = {"type": "quantitative", "axis": None}
    x = {**unit, "scale": {"domain": [0, 1], "nice": False}}
    y = {**unit, "scale": {"domain": [1, 0], "nice": False}}
    chosen = "segment == 'all' || datum.segment == segment"
    tips = tooltip(
        label=words("columns.segment"),
        people=words("columns.customers"),
        said=words("columns.net_revenue"),
        share=words("columns.revenue_share"),
    )
    fits = "datum.wide * width > datum.{field}_width + 10 && datum.high * height > {room}"
    return chart(
        shown,
        params=[{"name": "segment", "value": "all"}],
        layer=[
            {
                "mark": {"type": "rect", "stroke": "$card", "strokeWidth": 3, "cornerRadius": 4},
                "encoding": {
                    "x": {**x, "field": "x"},
                    "x2": {"field": "x2"},
                    "y": {**y, "field": "y"},
                    "y2": {"field": "y2"},
                    "color": tones({name: words.name("tones", name) for name in _used(shown)}),
                    "opacity": {"condition": {"test": chosen, "value": 1}, "value": 0.3},
                    "tooltip": tips,
                },
            },
            *(
                {
                    # An amount without a name says nothing.
                    "transform": [
                        {"filter": fits.format(field="label", room=22)},
                        {"filter": fits.format(field=field, room=room)},
                    ],
                    "mark": {"type": "text", "dy": dy, "fontSize": size, "fontWeight": weight},
                    "encoding": {
                        "color": {
                            "condition": [
                                {"test": f"!({chosen})", "value": "$ink"},
                                {"test": "datum.tone == 'watch'", "value": "$on_watch"},
                            ],
                            "value": "$on_tone",
                        },
                        "x": {**x, "field": "mid_x"},
                        "y": {**y, "field": "mid_y"},
                        "text": {"field": field, "type": "nominal"},
                    },
                }
                for field, dy, size, weight, room in (("label", -8, 13, 600, 22), ("said", 10, 12, 400, 44))
            ),
        ],
    )


def _width(text: str, size: int) -> float:
    """Return about how wide a text is: Chinese signs are as wide as high, others about half."""
    return sum(size if ord(sign) > 0x2E80 else 0.58 * size for sign in text)


def _used(rows: list[dict[str, Any]]) -> list[str]:
    return [name for name in TONES if any(row["tone"] == name for row in rows)]


def _moves(reading: PageReading, words: Words) -> list[Figure]:
    since = reading.newest("core.rfm_scores", "as_of < $as_of")
    if since is None:
        return []
    moves = [
        row
        for row in flows_since(reading, "core.rfm_states", "segment", since)
        if row["source"] != row["target"]
    ]
    if not moves:
        return []
    columns = [
        words.column("source", codes="segment"),
        words.column("target", codes="segment"),
        words.column("customers", "count"),
    ]
    flows = [Flow(row["source"], row["target"], row["customers"]) for row in moves[:_MOST_FLOWS]]
    largest = moves[0]
    total = sum(row["customers"] for row in moves)
    sentence = words(
        "segments.moves_sentence",
        n=total,
        since=since,
        source=words.name("segment", largest["source"]),
        target=words.name("segment", largest["target"]),
        most=largest["customers"],
    )
    left_out = len(moves) - len(flows)
    note = words("segments.moves_left_out", n=left_out) if left_out else ""
    figure = Figure(
        "segment_moves",
        words("segments.moves"),
        sentence,
        Table(columns, table_rows(moves, columns)),
        moving_spec(words, "segment", flows, _order(reading, moves)),
        420,
        note,
    )
    return [figure, *_causes(reading, words, since)]


def _order(reading: PageReading, moves: list[Row]) -> list[str]:
    """Return the segments in the order of the seed, then those that it does not name."""
    relation = "staging.rfm_segment_names"
    seed = reading.rows(f"select segment from {relation} order by position") if reading.has(relation) else []
    known = [row["segment"] for row in seed]
    moved = {state for row in moves for state in (row["source"], row["target"])}
    return [*known, *sorted(moved - {*known})]


def _causes(reading: PageReading, words: Words, since: datetime) -> list[Figure]:
    relation = "marts.segment_moves"
    if not reading.has(relation):
        return []
    causes = reading.rows(
        f"""
        select cause, sum(share)::double as customers
        from (
            unpivot (
                select purchases_share as purchases, time_share as time, cutoffs_share as cutoffs, late_share as late
                from {relation} where as_of = $as_of and previous_as_of = $since
            ) on purchases, time, cutoffs, late into name cause value share
        )
        group by 1 order by 2 desc, 1
        """,
        # It is implied by as_of; said, it lets the database read two snapshots instead of all.
        since=since,
    )
    total = sum(row["customers"] for row in causes)
    if not total:
        return []
    rows = [{**row, "share": row["customers"] / total} for row in causes]
    columns = [words.column("cause", codes="causes"), words.column("share", "percent")]
    shown = [
        {
            "label": words.name("causes", row["cause"]),
            "share": row["share"],
            "said": words.wording.percent(row["share"]),
        }
        for row in rows
    ]
    spec = bars(shown, words("columns.share"), [row["label"] for row in shown])
    sentence = words(
        "segments.causes_sentence",
        cause=words.name("causes", rows[0]["cause"]),
        share=words.wording.percent(rows[0]["share"]),
    )
    table = Table(columns, table_rows(rows, columns))
    return [
        Figure(
            "move_causes", words("segments.causes"), sentence, table, spec, 150, words("segments.causes_note")
        )
    ]


def bars(rows: list[dict[str, Any]], title: str, order: list[str]) -> dict[str, Any]:
    """Return horizontal bars of `share` by `label`, with the text `said` at their ends."""
    y = names("label", order, axis={"ticks": False, "domain": False, "labelLimit": 240})
    # Room for the texts at the ends.
    scale = {"domain": [0, 1.15 * max(number(row["share"]) for row in rows)], "nice": False}
    x = quantity(
        "share", None, scale=scale, axis={"labels": False, "grid": False, "domain": False, "ticks": False}
    )
    return chart(
        rows,
        layer=[
            {
                "mark": {"type": "bar", "color": "$accent", "cornerRadiusEnd": 3, "height": {"band": 0.7}},
                "encoding": {"y": y, "x": x, "tooltip": tooltip(label=title, said=title)},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "color": "$ink"},
                "encoding": {"y": y, "x": x, "text": {"field": "said", "type": "nominal"}},
            },
        ],
    )
