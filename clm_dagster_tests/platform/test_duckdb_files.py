"""Another program, not one of this project, has the DuckDB file open."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from clm_dagster.errors import UserError
from clm_dagster.platform.duckdb_files import WarehouseBusyError, lock_holder, open_when_free
from clm_dagster.platform.warehouse import Warehouse
from clm_dagster.settings import PROJECT_DIR

# What a notebook or DBeaver does: it knows nothing of the lock between steps.
PROGRAM = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start a program that has a DuckDB file open until it gets a line."""
    started: list[subprocess.Popen[str]] = []

    def start(path: Path) -> subprocess.Popen[str]:
        path.parent.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path)],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        started.append(process)
        return process

    yield start
    for process in started:
        process.communicate("\n", timeout=30)


def close(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_step_goes_on_when_the_other_program_closes_the_file(
    warehouse: Warehouse,
    program: Callable[[Path], subprocess.Popen[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = program(Path(warehouse.database))
    warned = threading.Event()

    def note(record: logging.LogRecord) -> bool:
        warned.set()
        return True

    def close_when_warned() -> None:
        if warned.wait(30):
            close(process)

    caplog.handler.addFilter(note)
    threading.Thread(target=close_when_warned, daemon=True).start()
    with warehouse.connect("this step") as connection:
        assert connection.scalar("select 1") == 1
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("this step waits up to ")
    assert f"(process {process.pid}" in message and warehouse.database in message


@pytest.mark.parametrize("read_only", [False, True])
def test_a_step_gives_up_and_names_the_program(
    warehouse: Warehouse, program: Callable[[Path], subprocess.Popen[str]], read_only: bool
) -> None:
    process = program(Path(warehouse.database))
    impatient = Warehouse(database=warehouse.database, lock_timeout=0.3)
    opened = impatient.connect_read_only("plan") if read_only else impatient.connect("this step")
    with pytest.raises(WarehouseBusyError) as error, opened:
        pytest.fail("two at once")
    assert isinstance(error.value, UserError)
    text = str(error.value)
    assert text.startswith("plan" if read_only else "this step")
    assert "python" in text and f"(process {process.pid}" in text
    assert "Close the file there" in text and "CLM_LOCK_TIMEOUT" in text


@pytest.mark.parametrize("command", ["run", "plan", "summary"])
def test_a_command_ends_with_a_message_and_without_a_traceback(
    command: str, tmp_path: Path, program: Callable[[Path], subprocess.Popen[str]]
) -> None:
    data = tmp_path / "data"
    process = program(data / "published" / "clm.duckdb" if command == "summary" else data / "clm.duckdb")
    shop = tmp_path / "events.csv"
    shop.write_text(
        "event_id,event_at,event_type,customer_id,order_id,product_id,quantity,unit_price,currency\n"
        "e1,2025-01-07 10:00:00,purchase,c1,o1,p1,1,5.00,EUR\n"
    )
    if command == "plan":  # it opens the warehouse only if something has landed
        assert clm("run", data, shop).returncode == 1
    found = clm(command, data, shop)
    assert found.returncode == 1
    text = " ".join((found.stdout + found.stderr).replace("│", " ").split())
    assert "Traceback" not in text
    assert "clm cannot go on" in text and f"(process {process.pid}" in text and "CLM_LOCK_TIMEOUT" in text


def clm(command: str, data: Path, shop: Path) -> subprocess.CompletedProcess[str]:
    settings = {
        "CLM_DATA_DIR": str(data),
        "CLM_SOURCE": "generic",
        "CLM_INPUT": str(shop),
        "CLM_LOCK_TIMEOUT": "0.5",
    }
    return subprocess.run(
        [sys.executable, "-c", "from clm_dagster.cli import main; main()", command],
        env=os.environ | settings,
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_filter_on_a_sum_over_a_left_join_without_rows_keeps_its_rows(tmp_path: Path) -> None:
    """DuckDB 2.0.0 finds none by itself."""
    with closing(open_when_free(str(tmp_path / "shop.duckdb"), "test", 1)) as connection:
        connection.execute(
            "create table orders as select 'k' || i % 50 as customer_id, i % 2 as orders from range(2000) as r(i)"
        )
        connection.execute("create table persons (as_of timestamp, customer_id varchar, person_id varchar)")
        found = connection.execute(
            """
            with known as (select customer_id, person_id from persons where as_of = '2025-06-30'),
            sums as (
                select coalesce(known.person_id, orders.customer_id) as customer_id, sum(orders.orders) as orders
                from orders left join known on orders.customer_id = known.customer_id group by 1
            ),
            buyers as (select customer_id from sums where orders > 0 group by 1)
            select count(*) from buyers
            """
        ).fetchall()
    assert found == [(25,)]


def test_other_problems_with_the_file_are_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(duckdb.Error):
        open_when_free(str(tmp_path / "missing" / "clm.duckdb"), "this step", 60, read_only=True)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            'IO Error: Could not set lock on file "/data/clm.duckdb": Conflicting lock is held in '
            "/usr/local/bin/duckdb (PID 4711) by user ann. See also https://duckdb.org",
            "/usr/local/bin/duckdb (process 4711, user ann)",
        ),
        (
            'IO Error: Could not set lock on file "/a b/clm.duckdb": Conflicting lock is held in /opt/my app/dbeaver '
            "(PID 12). See also https://duckdb.org",
            "/opt/my app/dbeaver (process 12)",
        ),
        (
            "IO Error: Cannot open file: used by another process. File is already open in\nC:\\duckdb.exe (PID 7)",
            "C:\\duckdb.exe (process 7)",
        ),
        ('IO Error: Could not set lock on file "x": Conflicting lock is held', "another program"),
    ],
)
def test_the_holder_is_read_from_the_message(message: str, expected: str) -> None:
    assert lock_holder(message) == expected


def test_a_parquet_file_that_is_replaced_at_once_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with (
        closing(open_when_free(str(tmp_path / "a.duckdb"), "a test", 1.0)) as reader,
        closing(duckdb.connect()) as writer,
    ):
        for number in range(300):
            path.unlink(missing_ok=True)
            writer.execute(
                f"copy (select i * {number % 7} as a, case when i % 3 > {number % 3} then 'x' || i end as b, "
                f"{number} as n from range(11) as t (i)) to '{path}' (compression zstd)"
            ).fetchall()
            reader.execute(f"describe select * from read_parquet('{path}')").fetchall()
            assert reader.execute(f"select distinct n from read_parquet('{path}')").fetchall() == [(number,)]
            assert len(reader.execute(f"select * from read_parquet('{path}')").fetchall()) == 11
