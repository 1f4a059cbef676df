"""Shards: every customer is in one of them, and their rows are those of the query."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clm_dagster.platform.python_tables.shards import CustomerRows, Sharding, Shards
from clm_dagster.platform.warehouse import Connection


@pytest.fixture
def connection() -> Connection:
    return Connection(duckdb.connect())


@given(
    ids=st.sets(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=4)),
    size=st.integers(1, 20),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_every_customer_is_in_one_shard(
    connection: Connection, tmp_path: Path, ids: set[str], size: int
) -> None:
    connection.load_frame("people", pd.DataFrame({"customer_id": pd.Series(sorted(ids), dtype="str")}))
    connection.execute("create or replace table lines as select customer_id, n from people, range(3) r(n)")
    sharding = Sharding(size, tmp_path)
    shards = sharding.shards(connection, "select customer_id from people")
    rows = sharding.rows(connection, "lines", shards, "select * from lines order by customer_id, n")
    parts = list(rows)
    assert len(parts) == len(shards) == max(-(-len(ids) // size), 1) and len(rows) == 3 * len(ids)
    counts = [part["customer_id"].nunique() for part in parts]
    assert max(counts) <= size and max(counts) - min(counts) <= max(counts[0] - counts[-1], 1)
    expected = connection.frame("select * from lines order by customer_id, n")
    joined = pd.concat(parts, ignore_index=True)
    assert joined["customer_id"].tolist() == expected["customer_id"].tolist()
    assert joined["n"].tolist() == expected["n"].tolist()
    assert rows.columns(["n"])["n"].tolist() == expected["n"].tolist()


def test_customers_beyond_the_first_and_the_last_are_in_a_shard(
    connection: Connection, tmp_path: Path
) -> None:
    connection.execute("create table people as select 'c' || n as customer_id from range(10, 30) r(n)")
    connection.execute("create table lines as select 'c' || n as customer_id from range(0, 50) r(n)")
    sharding = Sharding(7, tmp_path)
    shards = sharding.shards(connection, "select customer_id from people where customer_id <> ?", ["c10"])
    rows = sharding.rows(connection, "lines", shards, "select * from lines order by customer_id")
    assert len(shards) == 3 and sum(map(len, rows)) == 50


@pytest.mark.parametrize("sharding", [Sharding(), Sharding(0, Path("nowhere")), Sharding(5, None)])
def test_without_a_size_or_a_folder_all_rows_are_one_frame(
    connection: Connection, sharding: Sharding
) -> None:
    connection.execute("create table people as select 'c' || n as customer_id from range(10) r(n)")
    shards = sharding.shards(connection, "select * from people")
    rows = sharding.rows(connection, "people", shards, "select * from people order by 1")
    assert shards == Shards() and isinstance(rows.source, pd.DataFrame) and len(rows.shard(0)) == 10


def test_files_may_be_in_a_folder_of_any_name(connection: Connection, tmp_path: Path) -> None:
    folder = tmp_path / "a [1] it's *"
    connection.execute("create table people as select 'it''s ' || n as customer_id from range(10) r(n)")
    sharding = Sharding(4, folder)
    shards = sharding.shards(connection, "select * from people")
    rows = sharding.rows(connection, "people", shards, "select * from people order by 1")
    assert isinstance(rows, CustomerRows) and [len(part) for part in rows] == [4, 4, 2]
