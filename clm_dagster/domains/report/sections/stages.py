"""Lifecycle stages: how many customers are in each, and how they flow."""

from typing import Any

from clm_dagster.domains.report.layout import Flow
from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.sections.moving import flows_since, moving_spec
from clm_dagster.domains.report.specs import chart, names, quantity, tooltip, x_time
from clm_dagster.domains.report.words import Words, table_rows

_ORDER = ("absent", "prospect", "new", "growing", "loyal", "reactivated", "at_risk", "lost")
# From the calm to the loud, apart for colour-blind readers.
_COLOURS = {
    "prospect": "$other",
    "new": "$fresh",
    "growing": "$good_pale",
    "loyal": "$good",
    "reactivated": "$fresh_pale",
    "at_risk": "$watch",
    "lost": "$lost",
}
_WEEKS = 27
_FLOW_WEEKS = 4


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None without stages."""
    relation = "core.stage_states"
    if not reading.has(relation):
        return None
    counts = reading.rows(
        f"""
        select cast(as_of as date) as day, stage, count(*) as customers
        from {relation}
        where as_of <= $as_of and as_of > $as_of - interval {_WEEKS * 7} day
        group by 1, 2 order by 1, 2
        """
    )
    now = {row["stage"]: row["customers"] for row in counts if row["day"] == reading.as_of.date()}
    if not now:
        return None
    order = [stage for stage in _ORDER if stage in now]
    largest = max(order, key=lambda stage: now[stage])
    lead = words(
        "stages.lead",
        n=sum(now.values()),
        stage=words.name("stage", largest),
        most=now[largest],
        share=words.wording.percent(now[largest] / sum(now.values())),
    )
    figures = [_counts(words, counts, now), *_flows(reading, words)]
    return Section("lifecycle", words("stages.title"), lead, figures=figures)


def _counts(words: Words, counts: list[Row], now: dict[str, int]) -> Figure:
    columns = [
        words.column("day", "day"),
        words.column("stage", codes="stage"),
        words.column("customers", "count"),
    ]
    known = [stage for stage in _COLOURS if any(row["stage"] == stage for row in counts)]
    rows = [
        {
            **row,
            "label": words.name("stage", row["stage"]),
            "place": _ORDER.index(row["stage"]) if row["stage"] in _ORDER else len(_ORDER),
            "week": words.wording.day(row["day"]),
            "said": words.wording.number(row["customers"]),
        }
        for row in counts
    ]
    days = sorted({row["day"] for row in counts})
    spec = chart(
        rows,
        mark={"type": "area", "line": False} if len(days) > 1 else {"type": "bar", "size": 60},
        encoding={
            "x": x_time(),
            "y": {**quantity("customers", words("columns.customers")), "stack": "zero"},
            "color": {
                **names("label"),
                "scale": {
                    "domain": [words.name("stage", stage) for stage in known],
                    "range": [_COLOURS[stage] for stage in known],
                },
                "legend": {"title": None},
            },
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": tooltip(
                week=words("columns.day"), label=words("columns.stage"), said=words("columns.customers")
            ),
        },
    )
    sentence = words("stages.sentence", n=len(days), at_risk=now.get("at_risk", 0), lost=now.get("lost", 0))
    newest_first = sorted(counts, key=lambda row: row["day"], reverse=True)
    table = Table(columns, table_rows(newest_first, columns))
    return Figure("stage_counts", words("stages.chart"), sentence, table, spec, 300)


def _flows(reading: PageReading, words: Words) -> list[Figure]:
    relation = "core.stage_states"
    since = reading.newest(relation, f"as_of <= $as_of - interval {_FLOW_WEEKS * 7} day")
    if since is None:
        return []
    flows = flows_since(reading, relation, "stage", since)
    columns = [
        words.column("source", codes="stage"),
        words.column("target", codes="stage"),
        words.column("customers", "count"),
    ]
    moved = [row for row in flows if row["source"] != row["target"]]
    stayed = sum(row["customers"] for row in flows) - sum(row["customers"] for row in moved)
    if not moved:
        sentence = words("stages.nobody_moved", n=stayed, since=since)
        return [
            Figure("stage_flows", words("stages.flows"), sentence, Table(columns, table_rows(flows, columns)))
        ]
    sentence = words(
        "stages.flows_sentence",
        n=sum(row["customers"] for row in moved),
        since=since,
        stayed=stayed,
        source=words.name("stage", moved[0]["source"]),
        target=words.name("stage", moved[0]["target"]),
        most=moved[0]["customers"],
    )
    order = [
        *_ORDER,
        *sorted({state for row in flows for state in (row["source"], row["target"])} - {*_ORDER}),
    ]
    ribbons: list[Flow] = [Flow(row["source"], row["target"], row["customers"]) for row in moved]
    spec: dict[str, Any] = moving_spec(words, "stage", ribbons, order)
    table = Table(columns, table_rows(flows, columns))
    return [
        Figure("stage_flows", words("stages.flows"), sentence, table, spec, 400, words("stages.flows_note"))
    ]
