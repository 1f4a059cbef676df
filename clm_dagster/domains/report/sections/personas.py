"""Personas as cards: what distinguishes each group from the whole shop."""

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Bar, Card, Column, Figure, Section, Table
from clm_dagster.domains.report.words import Words, brief, number, table_rows

_SHARES = ("weekend_share", "evening_share", "return_share")
_MOST_BARS = 5


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None before personas were trained."""
    relation = "marts.persona_profiles"
    newest = reading.newest(relation)
    if newest is None:
        return None
    rows = reading.rows(
        f"select persona_id, persona, customers, customer_share, net_revenue, revenue_share, measure, persona_mean, "
        f"shop_mean, lift, z from {relation} where as_of = $at order by customers desc, persona_id, abs(z) desc",
        at=newest,
    )
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["persona_id"], []).append(row)
    if len(groups) < 2:
        lead = words("personas.one_group", n=rows[0]["customers"])
        return Section("personas", words("personas.title"), lead)
    first = next(iter(groups.values()))[0]
    lead = words(
        "personas.lead",
        n=len(groups),
        persona=brief(first["persona"]),
        share=words.wording.percent(first["customer_share"]),
        revenue=words.wording.percent(first["revenue_share"]),
    )
    cards = [_card(words, group) for group in groups.values()]
    return Section("personas", words("personas.title"), lead, cards=cards, figures=[_table(words, rows)])


def _card(words: Words, group: list[Row]) -> Card:
    first = group[0]
    facts = [
        words(
            "personas.customers", n=first["customers"], share=words.wording.percent(first["customer_share"])
        ),
        words(
            "personas.revenue",
            amount=words.money(first["net_revenue"]),
            share=words.text("percent", first["revenue_share"]),
        ),
    ]
    telling = sorted(group, key=lambda row: -abs(number(row["z"])))[:_MOST_BARS]
    return Card(
        brief(first["persona"], 80), facts, [_bar(words, row) for row in telling], first["persona_id"]
    )


def _bar(words: Words, row: Row) -> Bar:
    value, typical = number(row["persona_mean"]), number(row["shop_mean"])
    return Bar(
        measure_name(words, row["measure"]),
        _measured(words, row["measure"], value),
        value,
        typical,
        _measured(words, row["measure"], typical),
    )


def measure_name(words: Words, measure: str) -> str:
    """Return the name of a measure; `category: garden` names one of the shop."""
    kind, separator, name = measure.partition(": ")
    return (
        words("personas.category", name=brief(name, 40))
        if separator and kind == "category"
        else words.name("measure", measure)
    )


def _measured(words: Words, measure: str, value: float) -> str:
    if measure in _SHARES or measure.startswith("category: "):
        return words.wording.percent(value)
    return words.money(value) if measure == "order_value" else words.wording.number(value, 1)


def _table(words: Words, rows: list[Row]) -> Figure:
    columns = [
        words.column("persona"),
        Column("measure", words("columns.measure"), "text", lambda measure: measure_name(words, measure)),
        *words.columns(persona_mean="number", shop_mean="number", lift="number", customers="count"),
        *words.columns(net_revenue="money"),
    ]
    table = Table(columns, table_rows(rows, columns))
    return Figure("persona_measures", words("personas.table"), words("personas.table_sentence"), table)
