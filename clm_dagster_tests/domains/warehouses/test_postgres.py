"""Publishing to a real PostgreSQL, read back by drivers that know nothing of the project."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from typing import Any

import dagster as dg
import psycopg2  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clm_dagster.cli import cli
from clm_dagster.definitions import build_definitions
from clm_dagster.domains.warehouses.assets import CHECK, destination_definitions
from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.domains.warehouses.running import destinations_of
from clm_dagster_tests.domains.connect.postgres import PASSWORD
from clm_dagster_tests.domains.warehouses.conftest import PLANS, SCORES, VIEW, PublishedShop, day

Make = Callable[..., PublishedShop]


def rows(database: sa.Connection, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in database.exec_driver_sql(sql).fetchall()]


# ------------------------------------------------------------------------------------- values


def test_types_lists_and_descriptions(make_published: Make, database: sa.Connection) -> None:
    shop = make_published()
    shop.sql(
        f"""create table {PLANS} as select true as b, 1::tinyint as t, 2::smallint as s, 3::integer as i,
        4::bigint as l, 18446744073709551615::ubigint as u, 1.5::float as f, 0.1::double as d,
        1.2345::decimal(12, 4) as n, date '2024-02-29' as day, timestamp '2024-03-31 02:30:00.123456' as seen,
        timestamptz '2024-03-31 02:30:00+02' as zoned, ['a', 'b"c', null, 'd,e', '{{}}', '\\', ''] as texts,
        [1.50, null]::decimal(6, 2)[] as numbers, []::varchar[] as none, [[1], [2]] as nested,
        {{'x': 1, 'y': 'z'}} as pair,
        '{{"a": [1, 2.50]}}'::json as doc, 'nan'::double as nothing, 'x' as customer_id"""
    )
    shop.publish()
    (found,) = database.exec_driver_sql("select * from clm.campaign_plans").mappings().all()
    zoned = found["zoned"].timestamp()
    assert zoned == 1711845000
    assert {name: value for name, value in found.items() if name not in ("zoned", "nothing")} == {
        "b": True, "t": 1, "s": 2, "i": 3, "l": 4, "u": Decimal(18446744073709551615), "f": 1.5, "d": 0.1,
        "n": Decimal("1.2345"), "day": found["day"], "seen": found["seen"],
        "texts": ["a", 'b"c', None, "d,e", "{}", "\\", ""], "numbers": [Decimal("1.50"), None], "none": [],
        "nested": [[1], [2]], "pair": {"x": 1, "y": "z"}, "doc": {"a": [1, 2.5]}, "customer_id": "x",
    }  # fmt: skip
    assert (str(found["day"]), str(found["seen"])) == ("2024-02-29", "2024-03-31 02:30:00.123456")
    types = dict(
        rows(
            database,
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = 'clm.campaign_plans'::regclass and attnum > 0",
        )
    )
    assert {
        name: types[name] for name in ("n", "day", "seen", "zoned", "texts", "numbers", "nested", "doc", "u")
    } == {
        "n": "numeric(12,4)",
        "day": "date",
        "seen": "timestamp without time zone",
        "zoned": "timestamp with time zone",
        "texts": "text[]",
        "numbers": "numeric(6,2)[]",
        "nested": "jsonb",
        "doc": "jsonb",
        "u": "numeric(20,0)",
    }


def test_the_real_tables_have_their_descriptions(make_published: Make, database: sa.Connection) -> None:
    shop = make_published()
    shop.scores({0: 1})
    shop.publish()
    ((table, column),) = rows(
        database,
        "select obj_description('clm.churn_scores'::regclass), col_description('clm.churn_scores'::regclass, 2)",
    )
    assert "no order in the horizon_days" in table
    assert column


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.sampled_from(["", "\\N", "\\.", '"', "\n", "\r\n", "\\", ",", "NULL", "'"]),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_text_arrives_as_it_is(make_published: Make, texts: list[str | None]) -> None:
    shop = make_published()
    shop.sql(
        f"drop table if exists {PLANS}", f"create table {PLANS} (id integer, note varchar, notes varchar[])"
    )
    with closing(shop._opened()) as raw:
        for number, text in enumerate(texts):
            raw.execute(f"insert into {PLANS} values (?, ?, ?)", [number, text, [text, text]])
    shop._put()
    shop.publish()
    found = shop.query("select id, note, notes from {campaign_plans} order by id")
    assert found == [(number, text, [text, text]) for number, text in enumerate(texts)]


# ------------------------------------------------------------------------------ what is sent


def test_rows_that_have_not_changed_are_not_written_again(
    make_published: Make, database: sa.Connection
) -> None:
    shop = make_published()
    shop.scores({0: 1, 1: 1})
    shop.publish()
    versions = (
        "select as_of::date::text, customer_id, xmin::text, ctid::text from clm.churn_scores order by 1, 2"
    )
    before = rows(database, versions)
    shop.scores({1: 2})
    shop.publish()
    after = rows(database, versions)
    assert [row for row in after if row[0] == day(0)] == [row for row in before if row[0] == day(0)]
    assert [row[2] for row in after if row[0] == day(1)] != [row[2] for row in before if row[0] == day(1)]


def test_a_new_version_with_the_same_rows_sends_nothing(make_published: Make) -> None:
    shop = make_published()
    shop.scores({0: 1, 1: 1})
    shop.publish()
    shop.sql("update raw.builds set version = 'another code'")
    result = shop.publish()
    assert (result.tables, result.unchanged) == ([], 1)
    assert set(shop.query("select version from {clm_published}")) == {("another code",)}


def test_a_table_that_was_edited_past_the_ledger_is_compared_row_by_row(make_published: Make) -> None:
    shop = make_published()
    shop.scores({0: 1, 1: 1})
    shop.publish()
    shop.sql(f"insert into {SCORES} select * from {SCORES} where as_of = timestamp '{day(0)}'")
    assert shop.changes(shop.publish()) == [("churn_scores", "changed", 1, 6)]


def test_a_view_sends_the_days_that_differ(make_published: Make, database: sa.Connection) -> None:
    shop = make_published()
    shop.sql(
        "create table core.rfm_states as select timestamp '2024-01-08' + i * interval 7 day as as_of, "
        "'a' as customer_id, 0 as late from range(3) t(i)",
        f"create view {VIEW} as select *, lag(late) over (order by as_of) as earlier from core.rfm_states",
    )
    assert shop.changes(shop.publish()) == [("rfm_segments", "new", 3, 3)]
    shop.sql("update core.rfm_states set late = 1 where as_of = timestamp '2024-01-15'")
    # The next day shows the earlier one, so it is another one too.
    assert shop.changes(shop.publish()) == [("rfm_segments", "changed", 2, 2)]
    assert rows(database, "select late, earlier from clm.rfm_segments order by as_of") == [
        (0, None),
        (1, 0),
        (0, 1),
    ]


# ------------------------------------------------------------- columns, grants, others' tables


def test_grants_and_views_of_users_stay(make_published: Make, database: sa.Connection) -> None:
    shop = make_published()
    shop.sql(f"create table {PLANS} as select 1 as id, 1.5::decimal(6, 2) as price, 'x' as note")
    shop.publish()
    database.exec_driver_sql("drop role if exists analyst")
    database.exec_driver_sql("create role analyst")
    database.exec_driver_sql("grant select on clm.campaign_plans to analyst")
    database.exec_driver_sql("create view clm.mine as select id from clm.campaign_plans")
    shop.sql(f"create or replace table {PLANS} as select 2 as id, 'y' as note, 3 as added")
    shop.publish()
    assert rows(database, "select * from clm.mine") == [(2,)]
    assert rows(database, "select has_table_privilege('analyst', 'clm.campaign_plans', 'select')") == [
        (True,)
    ]
    assert rows(database, "select id, note, added from clm.campaign_plans") == [(2, "y", 3)]
    shop.settings = shop.settings.replace(publish_tables=SCORES)
    with pytest.raises(PublishError, match=r"cannot be dropped.*mine.*drop what depends on it"):
        shop.publish()
    database.exec_driver_sql("drop view clm.mine")
    shop.publish()
    assert rows(database, "select to_regclass('clm.campaign_plans')") == [(None,)]
    database.exec_driver_sql("drop role analyst")


def test_tables_of_other_people_and_of_other_shops_are_refused(
    make_published: Make, database: sa.Connection
) -> None:
    shop = make_published()
    shop.scores({0: 1})
    database.exec_driver_sql("create schema clm")
    database.exec_driver_sql("create table clm.churn_scores (mine text)")
    with pytest.raises(PublishError, match=r"tables of other people: churn_scores.*CLM_PUBLISH_SCHEMA"):
        shop.publish()
    assert rows(database, "select count(*) from clm.churn_scores") == [(0,)]
    database.exec_driver_sql("drop table clm.churn_scores")
    shop.publish()
    shop.settings = shop.settings.replace(source="shopify")
    with pytest.raises(PublishError, match="tables of the shop generic, and this is shopify"):
        shop.publish()


def test_a_table_that_somebody_dropped_is_sent_again(make_published: Make, database: sa.Connection) -> None:
    shop = make_published()
    shop.scores({0: 1, 1: 1})
    shop.publish()
    database.exec_driver_sql("drop table clm.churn_scores")
    shop.forget(SCORES, 0)
    assert shop.changes(shop.publish()) == [("churn_scores", "new", 1, 3)]
    assert rows(database, "select count(*) from clm.churn_scores") == [(3,)]
    assert rows(database, "select partition_key from clm.clm_published") == [(day(1),)]
    assert shop.publish().tables == []


# --------------------------------------------------------------------------- killed, concurrent

PUBLISH = """
import sys
from clm_dagster.cli import main
sys.argv = ["clm", "publish"]
main()
"""
BIG = 120_000


def publishing(shop: PublishedShop) -> "subprocess.Popen[bytes]":
    settings = shop.settings
    environment = os.environ | {
        "CLM_DATA_DIR": str(settings.data_dir),
        "CLM_SOURCE": "generic",
        "CLM_START_DATE": "2024-01-01",
        "CLM_END_DATE": "2024-03-01",
        "CLM_PUBLISH_TO": "dwh=${WAREHOUSE_URL}",
        "CLM_PUBLISH_TABLES": f"{SCORES},{PLANS}",
    }
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISH], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


STATE = """
    select array_agg((as_of::date::text, first, last, count)::text order by as_of) from (
        select as_of, min(generation) as first, max(generation) as last, count(*) from clm.churn_scores group by 1
    ) as weeks
"""


class Reader(threading.Thread):
    """Reads a table all the time, and keeps what it sees of each week."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self.seen, self.stopped = url, set[tuple[Any, ...]](), threading.Event()

    def run(self) -> None:
        connection = psycopg2.connect(self._url.replace("postgresql+psycopg2", "postgresql"))
        connection.autocommit = True
        while not self.stopped.is_set():
            with connection.cursor() as cursor:
                cursor.execute(STATE)
                self.seen.add(tuple(cursor.fetchone()[0]))
            time.sleep(0.01)
        connection.close()


def state(*weeks: tuple[int, int], count: int) -> tuple[str, ...]:
    return tuple(f"({day(week)},{generation},{generation},{count})" for week, generation in weeks)


@pytest.mark.slow
def test_kills_in_the_middle_leave_the_old_rows_or_the_new_ones(
    make_published: Make, database: sa.Connection, servers: Callable[[str], str]
) -> None:
    shop = make_published()
    shop.scores({0: 1, 1: 1}, rows=BIG)
    shop.publish()
    shop.scores({1: 2, 2: 2}, rows=BIG)
    reader, rng = Reader(servers("postgresql")), random.Random(7)
    reader.start()
    old, new = state((0, 1), (1, 1), count=BIG), state((0, 1), (1, 2), (2, 2), count=BIG)
    busy = (
        "select count(*) from pg_stat_activity where application_name = 'clm publish' and state <> 'idle' "
        "and (query ilike 'copy%%' or query ilike 'insert into \"clm\"%%' or query ilike 'delete%%')"
    )
    killed_busy = 0
    for attempt in range(6):
        process = publishing(shop)
        deadline, delay = time.monotonic() + 120, rng.random() * 0.4
        while time.monotonic() < deadline and process.poll() is None:
            if rows(database, busy)[0][0]:
                time.sleep(delay if attempt % 2 else 0)
                killed_busy += rows(database, busy)[0][0]
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # What the server was doing ends with its connection.
        while rows(database, "select count(*) from pg_stat_activity where application_name = 'clm publish'")[
            0
        ][0]:
            time.sleep(0.05)
        ledger = rows(
            database,
            "select cast(partition_key as text), version from clm.clm_published "
            "where relation = 'marts.churn_scores' order by 1",
        )
        found = tuple(rows(database, STATE)[0][0])
        assert (found, ledger) in [
            (old, [(day(0), "v1"), (day(1), "v1")]),
            (new, [(day(0), "v1"), (day(1), "v2"), (day(2), "v2")]),
        ]
        if found == new:  # too late: once more from the beginning
            shop.scores({1: 1}, rows=BIG)
            shop.forget(SCORES, 2)
            shop.publish()
            shop.scores({1: 2, 2: 2}, rows=BIG)
    assert killed_busy
    last = publishing(shop)
    output, _ = last.communicate(timeout=120)
    assert last.returncode == 0, output.decode()
    reader.stopped.set()
    reader.join(timeout=30)
    assert reader.seen <= {old, new}
    assert new in reader.seen
    expected = shop.sql(f"select as_of, customer_id, probability, generation from {SCORES} order by 1, 2")
    assert (
        rows(database, 'select * from clm.churn_scores order by as_of, customer_id collate "C"') == expected
    )


@pytest.mark.slow
def test_two_publications_at_once_give_the_rows_of_one(make_published: Make, database: sa.Connection) -> None:
    shop = make_published()
    shop.scores({0: 1, 1: 1}, rows=2_000)
    both = [publishing(shop), publishing(shop)]
    for process in both:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output.decode()
    counts = "select count(*), count(distinct (as_of, customer_id)) from clm.churn_scores"
    assert rows(database, counts) == [(4000, 4000)]


# --------------------------------------------------------------------------- secrets, commands


def test_a_destination_that_cannot_be_reached_fails_its_check_and_not_the_run(
    make_published: Make, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    shop = make_published()
    shop.scores({0: 1})
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://clm:secret-word@127.0.0.1:1/none")
    (destination,) = destinations_of(shop.settings, None)
    definitions = destination_definitions(shop.settings, destination)
    done = definitions.resolve_job_def("publish_dwh").execute_in_process(instance=instance)
    assert done.success
    assert not done.get_asset_materialization_events()
    (check,) = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (CHECK, False)
    assert "Connection refused" in str(check.description)
    assert "secret-word" not in str(check.description)


def test_the_command_shows_what_is_sent_and_no_secret(
    make_published: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_published()
    shop.scores({0: 1, 1: 1})
    process = publishing(shop)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    text = output.decode()
    assert (
        "Published to dwh (PostgreSQL postgres at 127.0.0.1, schema clm): 1 tables, 6 rows; 0 unchanged"
        in text
    )
    given = {"DATA_DIR": shop.settings.data_dir, "SOURCE": "generic", "PUBLISH_TABLES": SCORES}
    for name, value in given.items():
        monkeypatch.setenv(f"CLM_{name}", str(value))
    monkeypatch.setenv("CLM_END_DATE", "2024-03-01")
    monkeypatch.setenv("CLM_PUBLISH_TO", "dwh=${WAREHOUSE_URL}")
    again = CliRunner().invoke(cli, ["publish", "--dry-run"], catch_exceptions=False)
    assert "Nothing to publish to dwh" in again.output
    assert isinstance(CliRunner().invoke(cli, ["publish", "--to", "other"]).exception, PublishError)
    for path in shop.settings.data_dir.rglob("*"):
        found = path.read_bytes() if path.is_file() else b""
        assert PASSWORD.encode() not in found, path


@pytest.mark.parametrize("automation", ["schedules", "declarative"])
def test_the_destination_is_an_asset_of_each_publication(make_published: Make, automation: str) -> None:
    shop = make_published(automation=automation)
    definitions = build_definitions(shop.settings)
    dg.Definitions.validate_loadable(definitions)
    key = dg.AssetKey(["published", "dwh"])
    node = definitions.resolve_asset_graph().get(key)
    assert node.parent_keys == {dg.AssetKey(["published", "warehouse"])}
    for job in ("daily", "snapshots", "scores", "publish", "publish_dwh"):
        assert key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys, job
