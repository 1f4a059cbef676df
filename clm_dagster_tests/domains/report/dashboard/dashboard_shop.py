"""Published copies, and a project's data as its pages read it, for tests of the dashboard."""

import re
from pathlib import Path

import duckdb

from clm_dagster.domains.report.dashboard.project import SOURCE
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.report.page_shop import AS_OF, PageShop, empty_shop, first_tables, model_tables

_FENCE = re.compile(r"^```sql (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def publish(settings: Settings, kind: str = "full") -> None:
    """Publish a shop. kind: full, untrained, emptied (all tables, rows only in segments), or bare (only segments)."""
    settings.published_path.parent.mkdir(parents=True)
    shop = empty_shop(str(settings.published_path))
    if kind == "bare":
        shop.run(*(f"create table {name} as select {_SEGMENT}" for name in _SEGMENTS))
    else:
        first_tables(shop)
        _more_tables(shop)
    if kind in ("full", "emptied"):
        model_tables(shop)
        _more_model_tables(shop)
    if kind == "emptied":
        names = shop.rows("select table_schema || '.' || table_name from information_schema.tables")
        shop.run(*(f"delete from {name}" for (name,) in names if name != "core.rfm_states"))
        shop.run(*(f"insert into {name} by name select {_SEGMENT}" for name in _SEGMENTS))
    shop.raw.close()


_SEGMENTS = ("core.rfm_scores", "marts.rfm_segments")

_SEGMENT = (
    f"timestamp '{AS_OF}' as as_of, 'k1' as customer_id, 'loyal' as segment, 3::bigint as frequency, "
    "5::bigint as recency_days, 12.5::decimal(18, 4) as monetary"
)


def _more_tables(shop: PageShop) -> None:
    # What are views in a shop are tables here, so that a test can empty them.
    shop.run(
        "create table marts.rfm_segments as select * from core.rfm_scores",
        "create table marts.lifecycle_stages as select * from core.stage_states",
        """
        create table marts.stage_transitions as
        select l.as_of, e.as_of as previous_as_of, 'rfm_segment' as state_kind, e.segment as from_state,
            l.segment as to_state, count(*) as customers
        from core.rfm_scores as l join core.rfm_scores as e
            on l.customer_id = e.customer_id and e.as_of = l.as_of - interval 7 day
        group by all
        """,
        """
        create table marts.cohort_retention as
        select make_date(2024, cohort, 1) as cohort_month, since::integer as months_since,
            make_date(2024, cohort + since, 1) as month, 8::bigint as customers, (8 - since)::bigint as active,
            (8 - since) / 8 as retention, (10 * since)::decimal(18, 4) as cumulative_value
        from range(1, 7) as c(cohort), range(0, 6) as s(since) where cohort + since <= 6
        """,
        "create table core.customer_identities (as_of timestamp, customer_id varchar, person_id varchar)",
        "insert into marts.stage_transitions by name select timestamp '2024-06-03' as as_of, "
        "timestamp '2024-05-27' as previous_as_of, 'stage' as state_kind, 'at_risk' as from_state, "
        "'lost' as to_state, 4::bigint as customers",
        "insert into core.customer_identities values ('2024-06-03', 'k2', 'k1')",
    )


def _more_model_tables(shop: PageShop) -> None:
    shop.run(
        """
        create table marts.customer_profiles as
        select as_of, customer_id, segment, case when frequency > 10 then 'vip' else 'low' end as value_tier,
            20.0::double as expected_revenue, recency_days, frequency as orders
        from core.rfm_scores where as_of = '2024-06-03'
        """,
        """
        create table marts.report_facts as
        select timestamp '2024-06-03' as as_of, n::bigint as rank, 'revenue' as section,
            'Sentence ' || n || ' with {braces} & <b>.' as sentence_en, n <> 7 as is_trusted
        from range(1, 12) as f(n)
        """,
        """
        create or replace table marts.recommendations as
        select timestamp '2024-06-03' as as_of, 'k' || c as customer_id, list, 1 + (c + r) % 3 as rank,
            'p' || (1 + (c + r) % 5) as product_id
        from range(10) as customers(c), range(3) as ranks(r), (values ('next_best'), ('discover')) as l(list)
        """,
        """
        create table marts.model_scorecard as
        select timestamp '2024-01-01' as as_of, 'churn' as model, 'roc_auc' as metric, date '2024-04-01' as matures_on,
            50::bigint as labelled, 0.78 as value, 0.72 as baseline
        """,
    )


def page_queries(folder: Path) -> dict[str, str]:
    """Return the queries of all pages of a project, by page and name."""
    found = {
        f"{page.stem}.{name}": query
        for page in sorted((folder / "pages").glob("*.md"))
        for name, query in _FENCE.findall(page.read_text(encoding="utf-8"))
    }
    assert found
    return found


def open_data(folder: Path) -> duckdb.DuckDBPyConnection:
    """Open the data of a project, with its tables named as on the pages."""
    connection = duckdb.connect()
    connection.execute(f"attach '{folder / SOURCE / 'clm.duckdb'}' as stored (read_only)")
    connection.execute("create schema clm")
    for (name,) in connection.execute(
        "select table_name from duckdb_tables() where database_name = 'stored'"
    ).fetchall():
        connection.execute(f"create view clm.{name} as select * from stored.{name}")
    return connection
