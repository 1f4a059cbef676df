"""The numbers of the week, each beside those of a week and of four weeks ago."""

from datetime import timedelta

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Change, Figure, Kind, Section, Table, Tile
from clm_dagster.domains.report.sections.weeks import ratio, shop_weeks
from clm_dagster.domains.report.words import Words, number, table_rows

# Measures with their kind, and whether more is good.
_MEASURES: dict[str, tuple[Kind, bool | None]] = {
    "net_revenue": ("money", True),
    "orders": ("count", True),
    "average_order_value": ("money", True),
    "new_buyers": ("count", True),
    "returned": ("money", False),
}
_SHOWN_WEEKS = 13
# The fact that knows the noise of a measure.
_FACTS = {
    "net_revenue": "revenue",
    "orders": "orders",
    "average_order_value": "order_value",
    "new_buyers": "new",
}


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None for a shop without a whole week before as_of."""
    weeks = shop_weeks(reading)
    last = reading.as_of.date() - timedelta(days=7)
    if not weeks or weeks[-1]["day"] != last:
        return None
    by_day = {row["day"]: row for row in weeks}
    week_ago, month_ago = by_day.get(last - timedelta(days=7)), by_day.get(last - timedelta(days=28))
    facts = _facts(reading)
    tiles = [_tile(words, name, weeks, week_ago, month_ago, facts) for name in _MEASURES]
    columns = [
        words.column("day", "day"),
        *(words.column(name, kind) for name, (kind, _) in _MEASURES.items()),
    ]
    shown = weeks[-_SHOWN_WEEKS:]
    table = Table(columns, table_rows([*reversed(shown)], columns))
    figure = Figure(
        "weeks",
        words("headline.table"),
        words("headline.table_sentence", n=len(shown)),
        table,
        is_folded=True,
    )
    period = words("headline.lead", first=last, last=reading.as_of.date() - timedelta(days=1))
    return Section("headline", words("headline.title"), period, tiles=tiles, figures=[figure])


def _facts(reading: PageReading) -> dict[str, Row]:
    """Return the facts of measures by name; none for a copy that was published without."""
    relation = "marts.report_facts"
    if not reading.has_columns(relation, "is_change_week", "is_change_4_weeks", "low", "high"):
        return {}
    rows = reading.rows(
        f"select fact, low, high, is_change_week, is_change_4_weeks from {relation} "
        "where as_of = $as_of and subject is null and section in ('revenue', 'customers')"
    )
    return {row["fact"]: row for row in rows}


def _tile(
    words: Words,
    name: str,
    weeks: list[Row],
    week_ago: Row | None,
    month_ago: Row | None,
    facts: dict[str, Row],
) -> Tile:
    kind, more_is_good = _MEASURES[name]
    now = weeks[-1][name]
    fact = facts.get(_FACTS.get(name, ""))
    changes = []
    for row, since, told in (
        (week_ago, "week", "is_change_week"),
        (month_ago, "four_weeks", "is_change_4_weeks"),
    ):
        if row is not None and row[name] is not None and now is not None:
            # A change within its noise is neither good nor bad.
            is_told = fact is None or bool(fact[told])
            changes.append(_change(words, kind, more_is_good if is_told else None, now, row[name], since))
    band = ""
    if fact is not None and fact["low"] is not None and fact["high"] is not None:
        band = words("headline.band", low=words.text(kind, fact["low"]), high=words.text(kind, fact["high"]))
    history = [number(row[name]) for row in weeks[-_SHOWN_WEEKS:]]
    shown = words.text(kind, now)
    value = None if now is None else number(now)
    return Tile(name, words(f"columns.{name}"), value, shown, changes, history, band)


def _change(
    words: Words, kind: Kind, more_is_good: bool | None, now: object, before: object, since: str
) -> Change:
    difference = number(now) - number(before)
    relative = ratio(number(now), number(before))
    amount = (
        words.wording.signed(relative, "percent")
        if relative is not None
        else words.wording.signed(difference, "money" if kind == "money" else "count", words.currency or None)
    )
    is_good = None if not difference or more_is_good is None else (difference > 0) == more_is_good
    return Change(words(f"headline.since_{since}", change=amount), is_good)
