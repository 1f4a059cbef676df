"""Recommendations: how often customers buy from their list, beside a simple rule, and what is recommended most."""

from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.sections.models import grade_of, in_words
from clm_dagster.domains.report.specs import chart, names, quantity, tooltip
from clm_dagster.domains.report.words import Words, brief, number, table_rows

_MODEL = "recommendations"
_LISTS = ("next_best", "discover")
# Products of each list.
_MOST = 10


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None without recommendations of this as_of."""
    relation = "marts.recommendations"
    if reading.newest(relation) != reading.as_of:
        return None
    (counted,) = reading.rows(
        f"select count(distinct customer_id) as customers from {relation} where as_of = $as_of"
    )
    figures = [*_hits(reading, words), *_products(reading, words, counted["customers"])]
    lead = words("recommend.lead", n=counted["customers"])
    return Section(_MODEL, words("recommend.title"), lead, figures=figures)


def _hits(reading: PageReading, words: Words) -> list[Figure]:
    grades = {name: grade_of(reading, (_MODEL, f"hit_{name}")) for name in _LISTS}
    found = [{**row, "list": name} for name, row in grades.items() if row is not None]
    if not found:
        return []
    columns = [
        words.column("list", codes="list"),
        *words.columns(hit="percent", baseline_hit="percent", as_of="day"),
        words.column("source_of_grade", codes="grade"),
    ]
    data = [
        {**row, "hit": row["value"], "baseline_hit": row["baseline"], "source_of_grade": row["source"]}
        for row in found
    ]
    kinds = [words.name("rule", kind) for kind in ("model", "baseline")]
    shown = [
        {
            "list": words.name("list", row["list"]),
            "kind": kind,
            "share": number(row[column]),
            "said": words.wording.percent(row[column]),
        }
        for row in found
        for kind, column in zip(kinds, ("value", "baseline"), strict=True)
    ]
    y = names(
        "list", [words.name("list", row["list"]) for row in found], axis={"ticks": False, "domain": False}
    )
    spec = chart(
        shown,
        encoding={
            "y": y,
            "yOffset": names("kind", kinds),
            "x": quantity("share", words("recommend.axis"), axis={"format": ".0%"}),
        },
        layer=[
            {
                "mark": {"type": "bar", "cornerRadiusEnd": 3},
                "encoding": {
                    "color": {
                        **names("kind"),
                        "scale": {"domain": kinds, "range": ["$good", "$other"]},
                        "legend": {"title": None},
                    },
                    "tooltip": tooltip(
                        list=words("columns.list"), kind=words("columns.kind"), said=words("columns.hit")
                    ),
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5, "color": "$ink"},
                "encoding": {"text": {"field": "said", "type": "nominal"}},
            },
            # Room for the text of the longest bar.
            {
                "transform": [{"calculate": "datum.share * 1.1", "as": "room"}],
                "mark": {"type": "point", "opacity": 0},
                "encoding": {"x": quantity("room", words("recommend.axis"), axis={"format": ".0%"})},
            },
        ],
    )
    sentence = words.joined([in_words(words, row) for row in found])
    table = Table(columns, table_rows(data, columns))
    note = words("recommend.hits_note")
    return [Figure("hits", words("recommend.hits"), sentence, table, spec, 90 + 70 * len(found), note)]


def _products(reading: PageReading, words: Words, customers: int) -> list[Figure]:
    named, joined = "counted.product_id", ""
    if reading.has("staging.stg_products"):
        named = "coalesce(products.name, counted.product_id)"
        joined = "left join staging.stg_products as products on counted.product_id = products.product_id"
    found: list[Row] = reading.rows(
        f"""
        with counted as (
            select list, product_id, count(*) as customers
            from marts.recommendations where as_of = $as_of
            group by 1, 2
            qualify row_number() over (partition by list order by count(*) desc, product_id) <= {_MOST}
        )
        select counted.list, {named} as product, counted.customers, counted.customers / {customers} as customer_share
        from counted {joined}
        order by counted.list = 'next_best' desc, counted.list, counted.customers desc, 2
        """
    )
    columns = [
        words.column("list", codes="list"),
        words.column("product"),
        *words.columns(customers="count", customer_share="percent"),
    ]
    most = max(found, key=lambda row: row["customers"])
    sentence = words("recommend.products_sentence", product=brief(most["product"]), n=most["customers"])
    table = Table(columns, table_rows(found, columns))
    return [Figure("recommended", words("recommend.products"), sentence, table, is_folded=True)]
