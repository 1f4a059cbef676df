"""Sales by week, and their forecast with bands."""

from datetime import timedelta
from typing import Any

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.sections.weeks import ratio, shop_weeks, week_forecast
from clm_dagster.domains.report.specs import chart, quantity, tooltip, x_time
from clm_dagster.domains.report.words import NOTHING, Words, number, table_rows

# Weeks that are compared with the weeks before them, and that a forecast is summed over.
_QUARTER = 13


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None for a shop without a whole week before as_of."""
    weeks = shop_weeks(reading)
    if not weeks:
        return None
    forecast = week_forecast(reading)
    figures = [_sales(words, weeks, forecast)]
    return Section("revenue", words("revenue.title"), _lead(words, weeks, forecast), figures=figures)


def _lead(words: Words, weeks: list[Row], forecast: list[Row]) -> str:
    said = []
    recent, before = weeks[-_QUARTER:], weeks[-2 * _QUARTER : -_QUARTER]
    now, then = (sum(number(row["net_revenue"]) for row in part) for part in (recent, before))
    change = ratio(now, then)
    if len(before) == _QUARTER and change is not None:
        key = (
            "revenue.trend_up"
            if change > 0.005
            else "revenue.trend_down"
            if change < -0.005
            else "revenue.trend_flat"
        )
        said.append(words(key, amount=words.money(now), change=words.wording.percent(abs(change))))
    else:
        said.append(words("revenue.total", amount=words.money(now), n=len(recent)))
    if forecast:
        first = forecast[0]
        said.append(
            words(
                "revenue.next_week",
                amount=words.money(first["mean"]),
                low=words.money(first["q10"]),
                high=words.money(first["q90"]),
            )
        )
    return words.joined(said)


def _sales(words: Words, weeks: list[Row], forecast: list[Row]) -> Figure:
    rows: list[dict[str, Any]] = [
        {
            "day": row["day"],
            "kind": "actual",
            "sales": row["gross_revenue"],
            "net_revenue": row["net_revenue"],
            "expected": None,
            "low": None,
            "high": None,
        }
        for row in weeks
    ]
    rows += [
        {
            "day": row["day"],
            "kind": "forecast",
            "sales": None,
            "net_revenue": None,
            "expected": row["mean"],
            "low": row["q10"],
            "high": row["q90"],
        }
        for row in forecast
    ]
    columns = [
        words.column("day", "day"),
        words.column("kind", codes="kinds"),
        *words.columns(sales="money", net_revenue="money", expected="money", low="money", high="money"),
    ]
    best = max(weeks, key=lambda row: number(row["gross_revenue"]))
    sentence = words(
        "revenue.sentence" if forecast else "revenue.sentence_without_forecast",
        n=len(weeks),
        best=best["day"],
        amount=words.money(best["gross_revenue"]),
        until=(forecast[-1]["day"] if forecast else weeks[-1]["day"]) + timedelta(days=6),
    )
    return Figure(
        "sales",
        words("revenue.chart"),
        sentence,
        Table(columns, table_rows([*reversed(rows)], columns)),
        _spec(words, rows),
        320,
        words("revenue.note"),
    )


def _spec(words: Words, rows: list[dict[str, Any]]) -> dict[str, Any]:
    shown = [
        {
            **row,
            "week": words.wording.day(row["day"]),
            "said": words.money(row["expected"] if row["sales"] is None else row["sales"]),
            "said_net": words.text("money", row["net_revenue"]),
            "said_band": NOTHING
            if row["low"] is None
            else words("revenue.band", low=words.money(row["low"]), high=words.money(row["high"])),
        }
        for row in rows
    ]
    tips = tooltip(
        week=words("columns.day"),
        said=words("columns.sales"),
        said_net=words("columns.net_revenue"),
        said_band=words("revenue.range"),
    )
    y = quantity("sales", None)
    return chart(
        shown,
        encoding={"x": x_time()},
        layer=[
            {
                "mark": {"type": "area", "color": "$accent", "opacity": 0.18},
                "encoding": {"y": quantity("low"), "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "color": "$muted", "strokeWidth": 1.5, "strokeDash": [2, 3]},
                "encoding": {"y": quantity("net_revenue")},
            },
            {"mark": {"type": "line", "color": "$accent", "strokeWidth": 2.5}, "encoding": {"y": y}},
            {
                "mark": {"type": "line", "color": "$accent", "strokeWidth": 2, "strokeDash": [6, 4]},
                "encoding": {"y": quantity("expected")},
            },
            {
                "transform": [
                    {"calculate": "datum.sales === null ? datum.expected : datum.sales", "as": "either"}
                ],
                "mark": {"type": "point", "size": 90, "filled": True, "opacity": 0, "color": "$accent"},
                "encoding": {"y": quantity("either"), "tooltip": tips},
            },
        ],
    )
