"""Stock to reorder: reorder points of the products that sell most."""

from clm_dagster.domains.report.reading import PageReading
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.words import Words, brief, table_rows

_MOST = 25


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None without reorder points of this as_of."""
    relation = "marts.reorder_points"
    if reading.newest(relation) != reading.as_of:
        return None
    named = "points.product_id"
    joined = ""
    # As the facts name them: by the catalogue, else by their description in the events.
    if reading.has("staging.stg_products"):
        named = "coalesce(products.name, points.product_id)"
        joined = "left join staging.stg_products as products on points.product_id = products.product_id"
    rows = reading.rows(
        f"""
        select
            {named} as product, points.lead_days, points.expected_demand, points.safety_stock, points.reorder_point
        from {relation} as points {joined}
        where points.as_of = $as_of
            and points.date = (select min(date) from {relation} where as_of = $as_of)
        order by points.expected_demand desc, 1 limit {_MOST}
        """
    )
    if not rows:
        return None
    first = rows[0]
    lead = words(
        "stock.lead",
        product=brief(first["product"]),
        days=first["lead_days"],
        demand=words.wording.number(first["expected_demand"], 1),
        point=words.wording.number(first["reorder_point"]),
    )
    columns = [
        words.column("product"),
        *words.columns(
            lead_days="count", expected_demand="number", safety_stock="count", reorder_point="count"
        ),
    ]
    sentence = words("stock.sentence", n=len(rows))
    table = Table(columns, table_rows(rows, columns))
    figure = Figure("reorder_points", words("stock.table"), sentence, table, note=words("stock.note"))
    return Section("stock", words("stock.title"), lead, figures=[figure])
