"""Locking, transactions, and replacement of rows."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from clm_dagster.platform.duckdb_files import WarehouseBusyError
from clm_dagster.platform.warehouse import (
    SCHEMAS,
    Connection,
    Warehouse,
    statement_listeners,
)
from clm_dagster.settings import PROJECT_DIR

HOLDER = """
import sys
from clm_dagster.platform.warehouse import Warehouse
with Warehouse(database=sys.argv[1]).connect("the other step") as connection:
    connection.execute("create or replace table core.held (n integer)")
    print("held", flush=True)
    sys.stdin.readline()
    connection.execute("insert into core.held values (1)")
"""


@pytest.fixture
def hold(warehouse: Warehouse) -> Callable[[], subprocess.Popen[str]]:
    """Start a process that locks the warehouse until a line is written to its input."""

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, warehouse.database],
            cwd=PROJECT_DIR,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    return start


def release(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.close()


def test_a_waiting_step_names_the_holder_of_the_lock(
    warehouse: Warehouse,
    hold: Callable[[], subprocess.Popen[str]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clm_dagster.platform.warehouse._QUIET_SECONDS", 0.2)
    process = hold()
    warned = threading.Event()

    class Listener:
        def __call__(self, record: object) -> bool:
            warned.set()
            return True

    caplog.handler.addFilter(Listener())

    def release_when_warned() -> None:
        if warned.wait(30):
            release(process)

    threading.Thread(target=release_when_warned, daemon=True).start()
    with warehouse.connect("this step") as connection:
        assert connection.execute("from core.held") == [(1,)]
    assert process.wait(timeout=30) == 0
    (message,) = [record.getMessage() for record in caplog.records if "waits" in record.getMessage()]
    assert message.startswith(
        f"this step waits for the warehouse, locked by process {process.pid} (the other step, since "
    )


def test_the_timeout_error_names_the_holder_and_a_remedy(
    warehouse: Warehouse, hold: Callable[[], subprocess.Popen[str]]
) -> None:
    process = hold()
    impatient = Warehouse(database=warehouse.database, lock_timeout=0.2)
    with pytest.raises(WarehouseBusyError) as error, impatient.connect("this step"):
        pytest.fail("two at once")
    assert f"locked by process {process.pid} (the other step" in str(error.value)
    assert "increase CLM_LOCK_TIMEOUT" in str(error.value)
    release(process)
    assert process.wait(timeout=30) == 0
    with impatient.connect("this step") as connection:
        assert connection.scalar("select count(*) from core.held") == 1


def test_a_killed_holder_releases_the_lock(
    warehouse: Warehouse, hold: Callable[[], subprocess.Popen[str]]
) -> None:
    process = hold()
    process.kill()
    process.wait()
    with warehouse.connect("this step") as connection:
        assert connection.execute("from core.held") == []


def test_after_an_error_another_process_can_open_it(
    warehouse: Warehouse, hold: Callable[[], subprocess.Popen[str]]
) -> None:
    kept: BaseException | None = None
    try:
        with warehouse.connect("this step") as connection:
            connection.execute("select error('broken')")
    except duckdb.Error as error:
        kept = error  # and the frames that reference the connection
    process = hold()
    release(process)
    assert process.wait(timeout=30) == 0
    assert kept is not None


def test_a_transaction_is_all_or_nothing(connection: Connection) -> None:
    connection.execute("create table core.t as select 1 as n")
    with pytest.raises(KeyError), connection.transaction():
        connection.execute("insert into core.t values (2)")
        connection.execute("create table core.u (n integer)")
        raise KeyError("half-way")
    assert connection.execute("from core.t") == [(1,)]
    assert connection.relation_kind("core.u") is None
    # An error of DuckDB is the one that is raised, and the next transaction is a new one.
    with pytest.raises(duckdb.Error, match="broken"), connection.transaction():
        connection.execute("insert into core.t values (3)")
        connection.execute("select error('broken')")
    with connection.transaction():
        connection.execute("insert into core.t values (4)")
    assert connection.execute("from core.t order by n") == [(1,), (4,)]


def test_every_schema_exists(connection: Connection) -> None:
    found = {name for (name,) in connection.execute("select schema_name from information_schema.schemata")}
    assert set(SCHEMAS) <= found


def test_replace_rows_creates_the_table_and_then_replaces_its_slice(connection: Connection) -> None:
    connection.replace_rows("core.t", "select unnest([1, 2, 3]) as day, 'a' as what", "true")
    connection.replace_rows("core.t", "select unnest([2, 2]) as day, 'b' as what", "day = 2")
    connection.replace_rows("core.t", "select 9 as day, 'c' as what where false", "day = 3")
    assert connection.execute("from core.t order by all") == [(1, "a"), (2, "b"), (2, "b")]


def test_replace_rows_adds_columns_and_matches_by_name(connection: Connection) -> None:
    connection.replace_rows("core.t", "select 1 as day, 'a' as what", "true")
    connection.replace_rows("core.t", "select 'b' as what, 0.5::double as share, 2 as day", "day = 2")
    assert connection.columns("from core.t") == {"day": "INTEGER", "what": "VARCHAR", "share": "DOUBLE"}
    assert connection.execute("from core.t order by day") == [(1, "a", None), (2, "b", 0.5)]
    connection.replace_rows("core.t", "select 3 as day", "day = 3")
    assert connection.execute("from core.t where day = 3") == [(3, None, None)]


def test_replace_rows_rejects_a_changed_type_and_keeps_the_rows(connection: Connection) -> None:
    connection.replace_rows("core.t", "select 1 as day, 'a' as what", "true")
    with pytest.raises(dg.Failure) as error, connection.transaction():
        connection.replace_rows("core.t", "select 1 as day, 5::bigint as what", "day = 1")
    assert str(error.value.description) == (
        "core.t.what is stored as VARCHAR, but its new type is BIGINT. "
        "Drop core.t and materialize its partitions again."
    )
    assert connection.execute("from core.t") == [(1, "a")]


def test_replace_rows_replaces_a_view(connection: Connection) -> None:
    connection.execute("create view core.t as select 1 as day")
    connection.replace_rows("core.t", "select 2 as day", "true")
    assert connection.relation_kind("core.t") == "BASE TABLE"


def test_locked_file_contains_all_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    with warehouse.connect("this step") as connection:
        connection.execute("create table core.t as select 7 as n")
    with warehouse.locked_file("a copy") as path:
        assert not Path(f"{path}.wal").exists()
        copy = tmp_path / "copy.duckdb"
        copy.write_bytes(path.read_bytes())
    with duckdb.connect(str(copy), read_only=True) as opened:
        assert opened.execute("from core.t").fetchall() == [(7,)]


def test_helpers_handle_no_rows(connection: Connection) -> None:
    assert connection.scalar("select 1 where false") is None
    assert connection.execute("select 1 where false") == []
    assert list(connection.frame("select 1 as n where false").columns) == ["n"]
    assert connection.relation_kind("core.nothing") is None


def test_listeners_receive_every_statement(connection: Connection) -> None:
    heard: list[str] = []

    def listen(sql: str, seconds: float) -> None:
        heard.append(sql)

    statement_listeners.append(listen)
    try:
        connection.scalar("select 1")
        connection.frame("select 2")
    finally:
        statement_listeners.remove(listen)
    assert heard == ["select 1", "select 2"]
