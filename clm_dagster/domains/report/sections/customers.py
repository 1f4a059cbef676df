"""New, returning and lost customers by week."""

from datetime import timedelta

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.specs import chart, quantity, tooltip, x_time
from clm_dagster.domains.report.words import Words, table_rows

_WEEKS = 26
# The first day of the week, before as_of, of a day.
_WEEK = (
    "cast($as_of as date) - 7 * (1 + "
    "cast(floor((date_diff('day', activity_date, cast($as_of as date)) - 1) / 7) as integer))"
)


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None for a shop without known customers in whole weeks before as_of."""
    weeks = _weeks(reading)
    if not weeks:
        return None
    now = weeks[-1]
    said = [words("customers.lead", new=now["new"], returning=now["returning"])]
    if now["lost"] is not None:
        said.append(words("customers.lost", n=now["lost"]))
    return Section("customers", words("customers.title"), words.joined(said), figures=[_figure(words, weeks)])


def _weeks(reading: PageReading) -> list[Row]:
    if not reading.has("core.customer_daily"):
        return []
    lost = "select null::timestamp as as_of, null::bigint as lost where false"
    if reading.has("core.stage_states"):
        lost = f"""
            select pairs.as_of, coalesce(counted.lost, 0)::bigint as lost
            from (
                select now.as_of
                from (select distinct as_of from core.stage_states) as now
                inner join (select distinct as_of from core.stage_states) as before
                    on now.as_of = before.as_of + interval 7 day
            ) as pairs
            left join (
                select now.as_of, count(*) as lost
                from core.stage_states as now
                inner join core.stage_states as before
                    on now.customer_id = before.customer_id and before.as_of = now.as_of - interval 7 day
                where now.stage = 'lost' and before.stage <> 'lost'
                    and now.as_of <= $as_of and now.as_of > $as_of - interval {7 * _WEEKS} day
                group by 1
            ) as counted on pairs.as_of = counted.as_of
        """
    persons = "select null::varchar as customer_id, null::varchar as person_id where false"
    if reading.has("core.customer_identities"):
        persons = """
            select customer_id, person_id from core.customer_identities
            where as_of = (select max(as_of) from core.customer_identities where as_of <= $as_of)
        """
    return reading.rows(
        f"""
        with persons as ({persons}),
        lost as ({lost}),
        days as (
            select coalesce(persons.person_id, daily.customer_id) as customer_id, daily.activity_date
            from core.customer_daily as daily
            left join persons on daily.customer_id = persons.customer_id
            where daily.orders > 0 and daily.activity_date < $as_of
        ),
        firsts as (select customer_id, min(activity_date) as first_day from days group by 1),
        span as (select min(activity_date) as first_day, max(activity_date) as last_day from days),
        weeks as (
            select cast($as_of as date) - 7 * number::integer as day
            from range(1, {_WEEKS + 1}) as numbers(number)
        ),
        -- Weeks are computed and not joined, so that the cost is one pass over the days.
        recent as (
            select customer_id, {_WEEK} as day
            from days where activity_date >= cast($as_of as date) - 7 * {_WEEKS}
        ),
        buyers as (
            select
                recent.day,
                count(distinct recent.customer_id)::bigint as buyers,
                count(distinct recent.customer_id) filter (where firsts.first_day >= recent.day)::bigint as new
            from recent
            inner join firsts on recent.customer_id = firsts.customer_id
            group by 1
        )
        select
            weeks.day,
            coalesce(buyers.new, 0) as new,
            coalesce(buyers.buyers - buyers.new, 0) as returning,
            lost.lost
        from weeks
        cross join span
        left join buyers on weeks.day = buyers.day
        left join lost on lost.as_of = weeks.day + 7
        where weeks.day >= span.first_day - 6
        order by 1
        """
    )


def _figure(words: Words, weeks: list[Row]) -> Figure:
    columns = [words.column("day", "day"), *words.columns(new="count", returning="count", lost="count")]
    rows = [
        {
            "day": row["day"],
            "end": row["day"] + timedelta(days=6),
            "kind": kind,
            "label": words(f"columns.{kind}"),
            **_place(row, kind),
            "week": words.wording.day(row["day"]),
            "said": words.wording.number(row[kind]),
        }
        for row in weeks
        for kind in ("new", "returning", "lost")
        if row[kind] is not None
    ]
    kinds = [kind for kind in ("returning", "new", "lost") if any(row["kind"] == kind for row in rows)]
    colours = {"returning": "$good", "new": "$fresh", "lost": "$lost"}
    spec = chart(
        rows,
        mark={"type": "rect", "stroke": "$card", "strokeWidth": 1},
        encoding={
            "x": x_time(),
            "x2": {"field": "end"},
            "y": quantity("from", words("customers.axis")),
            "y2": {"field": "to"},
            "color": {
                "field": "label",
                "type": "nominal",
                "scale": {
                    "domain": [words(f"columns.{kind}") for kind in kinds],
                    "range": [colours[kind] for kind in kinds],
                },
                "legend": {"title": None},
            },
            "tooltip": tooltip(
                week=words("columns.day"), label=words("columns.kind"), said=words("columns.customers")
            ),
        },
    )
    most = max(weeks, key=lambda row: row["new"])
    sentence = words("customers.sentence", n=len(weeks), best=most["day"], most=most["new"])
    table = Table(columns, table_rows([*reversed(weeks)], columns))
    return Figure(
        "customer_weeks", words("customers.chart"), sentence, table, spec, 280, words("customers.note")
    )


def _place(row: Row, kind: str) -> dict[str, int]:
    """Return where a bar begins and ends: new customers stand on returning ones, lost ones hang below zero."""
    begin = row["returning"] if kind == "new" else 0
    return {"from": begin, "to": -row[kind] if kind == "lost" else begin + row[kind]}
