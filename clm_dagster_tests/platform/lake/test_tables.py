"""Operations on tables that DuckLake does in another way, the build ledger, publication and maintenance."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import dagster as dg
import pytest

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.entries import create_ledger
from clm_dagster.platform.build_ledger.versions import Builds, Version
from clm_dagster.platform.lake.catalogue import LakeError
from clm_dagster.platform.lake.maintenance import FILE_AGE, compact, delete_files, expire
from clm_dagster.platform.lake.publication import current_snapshot, is_lake_published, publish_lake
from clm_dagster.platform.lake.warehouse import LakeWarehouse, lake_of
from clm_dagster.platform.publish.publishing import is_published, last_published
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings, SettingsError
from clm_dagster_tests.platform.lake import writers

DAY = "2024-01-05"


def test_a_whole_number_becomes_a_decimal(shop_lake: LakeWarehouse) -> None:
    with shop_lake.connect("a test") as connection:
        for query in ("select 1 as id, 2 as n", "select 2 as id, 1.50::decimal(18, 4) as n, 'x' as more"):
            where = f"id = {query.split()[1]}"
            connection.run_transaction(partial(connection.replace_rows, "core.t", query, where))
        assert connection.columns("select * from core.t")["n"] == "DECIMAL(18,4)"
        assert connection.execute("select id, n::varchar, more from core.t order by id") == [
            (1, "2.0000", None),
            (2, "1.5000", "x"),
        ]
        with pytest.raises(dg.Failure, match="stored as"):
            connection.run_transaction(
                lambda: connection.replace_rows("core.t", "select 'a' as id, 1 as n", "false")
            )


def test_a_table_is_replaced_by_a_query_over_itself(shop_lake: LakeWarehouse) -> None:
    with shop_lake.connect("a test") as connection:

        def replace(query: str) -> None:
            connection.run_transaction(lambda: connection.replace_table("core.t", query))

        replace("select i from range(5) as r (i)")
        replace("select i from core.t where i > 1")
        assert connection.execute("select * from core.t order by 1") == [(2,), (3,), (4,)]
        replace("select i, 'x' as more from core.t")
        assert connection.columns("select * from core.t") == {"i": "BIGINT", "more": "VARCHAR"}


def test_two_replacements_of_a_table_conflict(shop_lake: LakeWarehouse) -> None:
    """With `create or replace`, the rows that another process has added would silently be lost."""
    with shop_lake.connect("one") as one, shop_lake.connect("other") as other:
        one.run_transaction(lambda: one.replace_table("core.t", "select 1 as n"))
        seen = []

        def work() -> None:
            seen.append(one.execute("select n from core.t order by n"))
            if len(seen) == 1:
                other.run_transaction(lambda: other.execute("insert into core.t values (2)"))
            one.replace_table("core.t", "select n + 10 as n from core.t")

        one.run_transaction(work)
        assert seen == [[(1,)], [(1,), (2,)]]
        assert one.execute("select n from core.t order by n") == [(11,), (12,)]


def entries(connection: Connection) -> list[tuple[str, str, str]]:
    return connection.execute("select relation, partition_key, version from raw.builds order by written")


def test_the_ledger_keeps_the_last_row_of_each_partition(shop_lake: LakeWarehouse) -> None:
    at = datetime(2024, 1, 1)
    with shop_lake.connect("a test") as connection:

        def record(relation: str, key: str, version: str) -> None:
            rows = [(key, Version(version, at), 1)]
            connection.run_transaction(lambda: versions.record(connection, relation, rows, "run"))

        record("core.a", "2024-01-01", "1")
        record("core.a", "2024-01-02", "1")
        record("core.b", "", "1")
        record("core.a", "2024-01-01", "2")
        expected = [("core.a", "2024-01-02", "1"), ("core.b", "", "1"), ("core.a", "2024-01-01", "2")]
        assert entries(connection) == expected
        builds = Builds.read(connection)
        assert builds.stored("core.a", "2024-01-01") == Version("2", at)
        assert builds.written("core.a", "2024-01-01") > builds.written("core.b")
        compact(connection)
        assert entries(connection) == expected
        assert connection.scalar("select count(*) from raw.build_log") == 3
        connection.run_transaction(lambda: versions.forget(connection, "core.a", "2024-01-02", None))
        assert entries(connection) == expected[:2]
        record("core.a", "2024-01-01", "1")
        assert entries(connection)[-1] == ("core.a", "2024-01-01", "1")


def test_steps_of_different_tables_write_the_ledger_at_once(shop_lake: LakeWarehouse) -> None:
    with shop_lake.connect("one") as one, shop_lake.connect("other") as other:
        for connection in (one, other):
            connection.run_transaction(partial(create_ledger, connection))
        attempts = []

        def work() -> None:
            attempts.append(1)
            versions.record(one, "core.a", [("", Version("1"), 1)], "run")
            other.run_transaction(lambda: versions.record(other, "core.b", [("", Version("1"), 1)], "run"))

        for _ in range(2):  # the second time, both replace a row
            one.run_transaction(work)
        assert len(attempts) == 2
        assert sorted(relation for relation, _, _ in entries(one)) == ["core.a", "core.b"]


def test_readers_of_what_is_published_see_the_old_rows_while_a_step_writes(
    lake_settings: Callable[..., Settings],
) -> None:
    settings = lake_settings()
    lake = lake_of(settings)
    with (
        pytest.raises(SettingsError, match="nothing has been published"),
        connect_published(settings, "a test"),
    ):
        pass
    assert is_published(settings)  # nothing to publish
    with lake.connect("a test") as connection:
        writers.create(connection)
        writers.replace_rows(connection, DAY, 1, 1)
        assert not is_lake_published(connection)
        first = publish_lake(connection)
        assert is_lake_published(connection)
        published = last_published(settings)
        assert published is not None
        assert published.stamp == first.snapshot
        with connect_published(settings, "a reader") as reader:
            count = "select count(*) from core.facts"
            assert reader.scalar(count) == writers.ROWS
            writers.replace_rows(connection, DAY, 1, 2)
            assert reader.scalar(count) == writers.ROWS
        with connect_published(settings, "a later reader") as reader:
            assert reader.scalar(count) == writers.ROWS
        assert not is_published(settings)
        publish_lake(connection)
        with connect_published(settings, "a new reader") as reader:
            assert reader.scalar(count) == 2 * writers.ROWS


def test_a_table_is_read_as_it_was(shop_lake: LakeWarehouse) -> None:
    with shop_lake.connect("a test") as connection:
        writers.create(connection)
        before = current_snapshot(connection)
        writers.replace_rows(connection, DAY, 1, 1)
        assert connection.scalar(f"select count(*) from core.facts at (version => {before})") == 0
        with shop_lake.at_snapshot(before, "a test") as earlier:
            assert earlier.scalar("select count(*) from core.facts") == 0
        assert connection.scalar("select count(*) from core.facts") == writers.ROWS


def test_maintenance_keeps_rows_and_what_is_published(lake_settings: Callable[..., Settings]) -> None:
    settings = lake_settings()
    lake = lake_of(settings)
    with lake.connect("a test") as connection:
        writers.create(connection)
        for number in range(4):
            writers.replace_rows(connection, DAY, 1, number)
        published = publish_lake(connection).snapshot
        rows = "select * from core.facts order by all"
        at_publication = connection.execute(rows)
        for number in range(4, 8):
            writers.replace_rows(connection, DAY, 1, number)
        # The rows of one round twice, so that a file has only rows that are deleted.
        writers.replace_rows(connection, DAY, 1, 7)
        now, files = connection.execute(rows), len(writers.files_of(settings))
        assert compact(connection, is_dry=True)[2] > 1
        assert compact(connection)[2] > 1
        assert connection.execute(rows) == now
        early = published - 2
        assert expire(connection, timedelta(0), is_dry=True) == expire(connection, timedelta(0))
        assert delete_files(connection, FILE_AGE) == (0, 0)
        old, _ = delete_files(connection, timedelta(0), is_dry=True)
        assert old > 1
        delete_files(connection, timedelta(0))
        assert len(writers.files_of(settings)) < files
        assert connection.execute(rows) == now
    with lake.connect("a test") as connection:
        assert connection.execute(rows) == now
    with lake.at_snapshot(published, "a reader") as reader:
        assert reader.execute(rows) == at_publication
    with pytest.raises(LakeError, match="cannot be attached"), lake.at_snapshot(early, "a reader"):
        pass
