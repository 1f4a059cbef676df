"""What goes together: basket rules that held on later orders too."""

from clm_dagster.domains.report.reading import PageReading
from clm_dagster.domains.report.section import Column, Figure, Section, Table
from clm_dagster.domains.report.words import Words, brief, table_rows

_MOST = 30


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None where no rule is known."""
    relation = "marts.basket_rules"
    newest = reading.newest(relation)
    if newest is None:
        return None
    rows = reading.rows(
        f"""
        select antecedent_names as bought, consequent_name as also, baskets, confidence, lift, later_confidence
        from {relation} where as_of = $at and later_held
        order by baskets desc, lift desc, 1, 2 limit {_MOST}
        """,
        at=newest,
    )
    if not rows:
        return None
    columns = [
        words.column("bought"),
        Column("also", words("columns.also")),
        *words.columns(baskets="count", confidence="percent", later_confidence="percent", lift="number"),
    ]
    first = rows[0]
    lead = words(
        "baskets.lead",
        n=first["baskets"],
        bought=brief(first["bought"]),
        also=brief(first["also"]),
        share=words.wording.percent(first["confidence"]),
    )
    sentence = words("baskets.sentence", n=len(rows))
    figure = Figure(
        "basket_rules", words("baskets.table"), sentence, Table(columns, table_rows(rows, columns))
    )
    return Section("baskets", words("baskets.title"), lead, figures=[figure])
