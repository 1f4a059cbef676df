"""Reviews: ratings of the thirteen weeks before as_of."""

from clm_dagster.domains.report.reading import PageReading
from clm_dagster.domains.report.section import Figure, Section, Table
from clm_dagster.domains.report.sections.segments import bars
from clm_dagster.domains.report.words import Words, table_rows


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None for a shop without recent reviews."""
    relation = "staging.stg_reviews"
    if not reading.has(relation):
        return None
    rows = reading.rows(
        f"""
        select round(rating)::integer as rating, count(*) as reviews, sum(rating) as total
        from {relation}
        where written_at < $as_of and written_at >= $as_of - interval 91 day and rating is not null
        group by 1 order by 1 desc
        """
    )
    reviews = sum(row["reviews"] for row in rows)
    if not reviews:
        return None
    mean = sum(row["total"] for row in rows) / reviews
    data = [{**row, "share": row["reviews"] / reviews} for row in rows]
    columns = words.columns(rating="count", reviews="count", share="percent")
    shown = [
        {
            "label": words("voice.stars", n=row["rating"]),
            "share": row["share"],
            "said": words.wording.percent(row["share"]),
        }
        for row in data
    ]
    spec = bars(shown, words("columns.share"), [str(row["label"]) for row in shown])
    lead = words("voice.lead", n=reviews, mean=words.wording.number(mean, 1))
    low = sum(row["reviews"] for row in rows if row["rating"] <= 2) / reviews
    sentence = words("voice.sentence", share=words.wording.percent(low))
    table = Table(columns, table_rows(data, columns))
    figure = Figure("ratings", words("voice.chart"), sentence, table, spec, 40 + 30 * len(shown))
    return Section("voice", words("voice.title"), lead, figures=[figure])
