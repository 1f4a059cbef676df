"""Cohorts: how many customers of a month come back, with months that are not over marked."""

from datetime import date
from typing import Any

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Column, Figure, Section, Table
from clm_dagster.domains.report.specs import chart, tooltip
from clm_dagster.domains.report.words import Words, table_rows

_MONTHS = 24


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None before customers have had a month to come back."""
    rows = _rows(reading)
    if not any(row["months_since"] for row in rows):
        return None
    return Section("cohorts", words("cohorts.title"), _lead(words, rows), figures=[_figure(words, rows)])


def _rows(reading: PageReading) -> list[Row]:
    """Return the rows of marts.cohort_retention as they were at as_of: without later days, with the persons of then."""
    if not reading.has("core.customer_daily"):
        return []
    persons = "select null::varchar as customer_id, null::varchar as person_id where false"
    newest = reading.newest("core.customer_identities")
    if newest is not None:
        persons = "select customer_id, person_id from core.customer_identities where as_of = $identified"
    return reading.rows(
        f"""
        with persons as ({persons}),
        days as (
            select
                coalesce(persons.person_id, daily.customer_id) as customer_id,
                cast(date_trunc('month', daily.activity_date) as date) as month,
                daily.orders,
                daily.net_revenue
            from core.customer_daily as daily
            left join persons on daily.customer_id = persons.customer_id
            where daily.activity_date < $as_of
        ),
        firsts as (select customer_id, min(month) as cohort_month from days where orders > 0 group by 1),
        sizes as (select cohort_month, count(*) as customers from firsts group by 1),
        months as (
            select
                firsts.cohort_month,
                greatest(days.month, firsts.cohort_month) as month,
                count(distinct case when days.orders > 0 then days.customer_id end) as active,
                sum(days.net_revenue) as net_revenue
            from days inner join firsts on days.customer_id = firsts.customer_id
            group by 1, 2
        ),
        calendar as (
            select cast(unnest(generate_series(min(month), max(month), interval 1 month)) as date) as month from days
        ),
        grid as (
            select sizes.cohort_month, calendar.month, sizes.customers
            from sizes inner join calendar on sizes.cohort_month <= calendar.month
        ),
        retention as (
            select
                grid.cohort_month,
                date_diff('month', grid.cohort_month, grid.month)::integer as months_since,
                grid.month,
                grid.customers,
                coalesce(months.active, 0) as active,
                coalesce(months.active, 0)::double / grid.customers as retention,
                cast(
                    sum(coalesce(months.net_revenue, 0)) over (
                        partition by grid.cohort_month order by grid.month
                    ) / grid.customers as decimal(18, 4)
                ) as cumulative_value,
                grid.month + interval 1 month <= $as_of as is_over
            from grid
            left join months on grid.cohort_month = months.cohort_month and grid.month = months.month
        )
        select * from retention
        where cohort_month >= date_trunc('month', $as_of) - interval {_MONTHS} month
        order by cohort_month desc, months_since
        """,
        identified=newest,
    )


def _lead(words: Words, rows: list[Row]) -> str:
    """Return the retention of the first and third month after the first order, over all cohorts that have had them."""
    said = []
    for month in (1, 3):
        full = [row for row in rows if row["months_since"] == month and row["is_over"]]
        customers = sum(row["customers"] for row in full)
        if customers:
            share = sum(row["active"] for row in full) / customers
            said.append(words(f"cohorts.after_{month}", share=words.wording.percent(share), n=len(full)))
    return words.joined(said) or words("cohorts.too_early")


def _figure(words: Words, rows: list[Row]) -> Figure:
    columns = [
        Column("cohort_month", words("columns.cohort_month"), "text", words.wording.month),
        words.column("months_since", "count"),
        *words.columns(customers="count", active="count", retention="percent", cumulative_value="money"),
        words.column("is_over", codes="over"),
    ]
    table_data = [{**row, "is_over": "yes" if row["is_over"] else "no"} for row in rows]
    later = [row for row in rows if row["months_since"]]
    shown: list[dict[str, Any]] = [
        {
            "cohort": words.wording.month(row["cohort_month"]),
            "place": _place(row["cohort_month"]),
            "months": row["months_since"],
            "retention": row["retention"],
            "is_over": row["is_over"],
            "said": words.wording.percent(row["retention"], 0),
            "exact": words.text("percent", row["retention"]),
            "people": words("cohorts.of", active=row["active"], customers=row["customers"]),
            "over": words.name("over", "yes" if row["is_over"] else "no"),
        }
        for row in later
    ]
    cohorts = len({row["cohort_month"] for row in rows})
    best = max((row for row in later if row["is_over"]), key=lambda row: row["retention"], default=None)
    sentence = (
        words("cohorts.sentence_early", n=cohorts)
        if best is None
        else words(
            "cohorts.sentence",
            n=cohorts,
            cohort=words.wording.month(best["cohort_month"]),
            month=best["months_since"],
            share=words.wording.percent(best["retention"]),
        )
    )
    return Figure(
        "cohorts_map",
        words("cohorts.chart"),
        sentence,
        Table(columns, table_rows(table_data, columns)),
        _spec(words, shown),
        max(120, 24 * len({row["cohort"] for row in shown}) + 50),
        words("cohorts.note"),
    )


def _spec(words: Words, shown: list[dict[str, Any]]) -> dict[str, Any]:
    x = {
        "field": "months",
        "type": "ordinal",
        "title": words("columns.months_since"),
        "axis": {
            "labelAngle": 0,
            "ticks": False,
            "domain": False,
            "labelOverlap": True,
            "labelSeparation": 6,
            "orient": "top",
        },
    }
    y = {
        "field": "cohort",
        "type": "nominal",
        "sort": {"field": "place"},
        "title": None,
        "axis": {"ticks": False, "domain": False},
    }
    tips = tooltip(
        cohort=words("columns.cohort_month"),
        months=words("columns.months_since"),
        exact=words("columns.retention"),
        people=words("columns.customers"),
        over=words("columns.is_over"),
    )
    colour = {
        "field": "retention",
        "type": "quantitative",
        "scale": {"range": "$ramp", "zero": True, "nice": False},
        "legend": None,
    }
    over, dark = "datum.is_over", "datum.retention > most * toNumber(split)"
    return chart(
        shown,
        params=[
            {"name": "most", "value": max(row["retention"] for row in shown)},
            {"name": "split", "value": "$ramp_split"},
        ],
        encoding={"x": x, "y": y},
        layer=[
            {
                "mark": {"type": "rect", "stroke": "$card", "strokeWidth": 1},
                "encoding": {
                    "color": colour,
                    "opacity": {"condition": {"test": over, "value": 1}, "value": 0.35},
                    "tooltip": tips,
                },
            },
            {
                "transform": [{"filter": "!datum.is_over"}],
                "mark": {
                    "type": "rect",
                    "fill": None,
                    "stroke": "$muted",
                    "strokeDash": [3, 2],
                    "strokeWidth": 1,
                },
            },
            {
                "transform": [{"filter": "width / 26 > 24"}],
                "mark": {"type": "text", "fontSize": 10},
                "encoding": {
                    "text": {"field": "said", "type": "nominal"},
                    "color": {
                        "condition": {"test": f"{over} && {dark}", "value": "$on_ramp"},
                        "value": "$ink",
                    },
                },
            },
        ],
    )


def _place(month: date) -> int:
    return -(month.year * 12 + month.month)
