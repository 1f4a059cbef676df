"""Data quality: the ledger of delivered rows, rejects by reason, and how late the data is."""

from clm_dagster.domains.report.coded import reject_of
from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Column, Figure, Section, Table
from clm_dagster.domains.report.sections.segments import bars
from clm_dagster.domains.report.words import Words, table_rows

# Rows of days after as_of are not known to its page; those without a day are rows of files as a whole.
_BEFORE = "(event_date is null or event_date < $as_of)"


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None where nothing was delivered."""
    rows = ledger(reading)
    if not rows:
        return None
    delivered = sum(row["delivered"] for row in rows)
    rejected = sum(row["rejected"] for row in rows)
    share = words.wording.percent(rejected / delivered if delivered else 0)
    lead = words("quality.lead", n=delivered, share=share, rejected=rejected)
    figures = [_ledger(words, rows), *_reasons(reading, words)]
    return Section("data", words("quality.title"), lead, figures=figures)


def ledger(reading: PageReading) -> list[Row]:
    """Return the counts of delivered rows by table of the contract, and the day of the newest row."""
    if not reading.has("raw.deliveries"):
        return []
    skipped = "sum(skipped)::bigint" if reading.has_columns("raw.deliveries", "skipped") else "0::bigint"
    return reading.rows(
        f"""
        select
            contract_table,
            sum(delivered)::bigint as delivered,
            sum(accepted)::bigint as accepted,
            sum(rejected)::bigint as rejected,
            sum(duplicate)::bigint as duplicate,
            {skipped} as skipped,
            max(event_date) as newest_day,
            max(landed_at) as landed
        from raw.deliveries where {_BEFORE} group by 1 order by 2 desc, 1
        """
    )


def _ledger(words: Words, rows: list[Row]) -> Figure:
    columns = [
        words.column("contract_table", codes="contract_table"),
        *words.columns(
            delivered="count", accepted="count", rejected="count", duplicate="count", skipped="count"
        ),
        *words.columns(newest_day="day", landed="day"),
    ]
    adds_up = all(
        row["delivered"] == row["accepted"] + row["rejected"] + row["duplicate"] + row["skipped"]
        for row in rows
    )
    sentence = words("quality.adds_up" if adds_up else "quality.does_not_add_up")
    return Figure("ledger", words("quality.ledger"), sentence, Table(columns, table_rows(rows, columns)))


def _reasons(reading: PageReading, words: Words) -> list[Figure]:
    if not reading.has("raw.rejects"):
        return []
    rows = reading.rows(
        f"select reason, contract_table, count(*) as rejected from raw.rejects where {_BEFORE} "
        "group by all order by 3 desc, 1, 2"
    )
    if not rows:
        return []
    columns = [
        Column("reason", words("columns.reason"), "text", lambda code: reject_of(words, code)),
        words.column("contract_table", codes="contract_table"),
        words.column("rejected", "count"),
    ]
    shown = [
        {
            "label": f"{reject_of(words, row['reason'])} · {words.name('contract_table', row['contract_table'])}",
            "share": row["rejected"],
            "said": words.wording.number(row["rejected"]),
        }
        for row in rows[:10]
    ]
    spec = bars(shown, words("columns.rejected"), [row["label"] for row in shown])
    sentence = words(
        "quality.reasons_sentence",
        reason=reject_of(words, rows[0]["reason"]),
        table=words.name("contract_table", rows[0]["contract_table"]),
        n=rows[0]["rejected"],
    )
    table = Table(columns, table_rows(rows, columns))
    return [Figure("rejects", words("quality.reasons"), sentence, table, spec, 50 + 30 * len(shown))]
