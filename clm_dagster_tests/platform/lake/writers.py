"""Processes that write a lake at once.

Belongs here: what they write, and starting them. Does not: what a test expects.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from clm_dagster.platform.lake.warehouse import lake_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR, Settings, load_settings

# Rows of one replacement.
ROWS = 200


def create(connection: Connection) -> None:
    """Create the tables that processes write."""

    def tables() -> None:
        connection.execute("create table core.counters (day date, n integer)")
        connection.execute("create table core.facts (day date, writer integer, round integer, i integer)")
        connection.execute("create table core.done (day date, writer integer, round integer)")
        connection.execute("insert into core.counters values (date '2024-01-05', 0)")

    connection.run_transaction(tables)


def count_up(connection: Connection, day: str, writer: int, number: int) -> None:
    """Add one to the counter of a day, and note it. A lost update would lose a number."""

    def work() -> None:
        n = connection.scalar(f"select coalesce(max(n), 0) from core.counters where day = date '{day}'")
        connection.execute(f"delete from core.counters where day = date '{day}'")
        connection.execute(f"insert into core.counters values (date '{day}', {n + 1})")
        connection.execute(f"insert into core.done values (date '{day}', {writer}, {number})")

    connection.run_transaction(work)


def replace_rows(connection: Connection, day: str, writer: int, number: int) -> None:
    """Replace the rows of a writer's round, and note it, in one transaction. Twice: the same rows."""

    def work() -> None:
        where = f"day = date '{day}' and writer = {writer} and round = {number}"
        connection.execute(f"delete from core.facts where {where}")
        connection.execute(
            f"insert into core.facts select date '{day}', {writer}, {number}, i from range({ROWS}) as rows (i)"
        )
        connection.execute(f"delete from core.done where {where}")
        connection.execute(f"insert into core.done values (date '{day}', {writer}, {number})")

    connection.run_transaction(work, "core.facts", [f"{day} {writer} {number}"])


ACTIONS = {"count_up": count_up, "replace_rows": replace_rows}


def start(
    settings: Settings, action: str, day: str, writer: int, rounds: Sequence[int]
) -> subprocess.Popen[str]:
    """Start a process. It waits for a line, and then writes its rounds."""
    given = {
        "data_dir": str(settings.data_dir),
        "catalog": settings.catalog.get_secret_value(),
        "catalog_schema": settings.catalog_schema,
        "data_path": settings.data_path,
        "source": "generic",
        "lake_encrypted": settings.lake_encrypted,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, action, day, str(writer), json.dumps(list(rounds))],
        cwd=PROJECT_DIR,
        env={**os.environ, "LAKE_SETTINGS": json.dumps(given)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", line + process.stdout.read()
    return process


def go(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Let processes write, all at once."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def outputs(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Wait for processes, which must succeed, and return what they have printed."""
    found = []
    for process in processes:
        text, _ = process.communicate(timeout=240)
        assert process.returncode == 0, text
        found.append(text)
    return found


def files_of(settings: Settings) -> list[Path]:
    """Return the Parquet files of a lake's tables."""
    return sorted(Path(settings.data_path, settings.catalog_schema, "tables").rglob("*.parquet"))


def _main(action: str, day: str, writer: str, rounds: str) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    settings = load_settings(**json.loads(os.environ["LAKE_SETTINGS"]))
    with lake_of(settings).connect(f"writer {writer}") as connection:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in json.loads(rounds):
            ACTIONS[action](connection, day, int(writer), number)
            print(f"done {number}", flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
