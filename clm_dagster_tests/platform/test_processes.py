"""Other processes: killed ones, two at the same time, and readers of the published copy."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.shops import small_shop_events

pytestmark = pytest.mark.slow

TABLES = (
    "raw.events",
    "raw.rejects",
    "core.customer_daily",
    "core.product_daily",
    "core.totals_daily",
    "core.customer_features",
    "marts.rfm_segments",
    "marts.shop_daily",
)


def environment(data_dir: Path, inbox: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLM_", "DAGSTER_HOME"))}
    return kept | {
        "CLM_DATA_DIR": str(data_dir),
        "CLM_SOURCE": "generic",
        "CLM_INPUT": str(inbox),
        "CLM_START_DATE": "2024-01-01",
        "CLM_END_DATE": "2024-01-22",
        "CLM_TRAIN_COUNT": "0",  # trainings have their own tests; this module kills the building of tables
        "DAGSTER_HOME": str(data_dir / "dagster"),
    }


def script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inbox")
    small_shop_events(days=21).to_csv(folder / "events.csv", index=False)
    return folder


def run(data_dir: Path, inbox: Path) -> None:
    done = subprocess.run(
        [script("clm"), "run"],
        cwd=PROJECT_DIR,
        env=environment(data_dir, inbox),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def tables(path: Path) -> dict[str, pd.DataFrame]:
    connection = duckdb.connect(str(path), read_only=True)
    try:
        return {name: connection.execute(f"select * from {name} order by all").df() for name in TABLES}
    finally:
        connection.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, inbox: Path) -> dict[str, pd.DataFrame]:
    data_dir = tmp_path_factory.mktemp("undisturbed")
    run(data_dir, inbox)
    return tables(data_dir / "clm.duckdb")


def test_a_run_after_a_kill_completes_with_the_same_tables(
    tmp_path: Path, inbox: Path, undisturbed: dict[str, pd.DataFrame]
) -> None:
    # Seconds after the start: the kill may hit imports, landing, days or snapshots.
    for delay in (4.5, 6.0, 7.5, 9.0, 10.5, 12.0, 5.2):
        process = subprocess.Popen(
            [script("clm"), "run"],
            cwd=PROJECT_DIR,
            env=environment(tmp_path, inbox),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run(tmp_path, inbox)
    for path in (tmp_path / "clm.duckdb", tmp_path / "published" / "clm.duckdb"):
        for name, frame in tables(path).items():
            pd.testing.assert_frame_equal(frame, undisturbed[name], obj=name)


def launch(data_dir: Path, inbox: Path, days: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            script("dg"),
            "launch",
            "--assets",
            "raw/events,core/customer_daily,core/product_daily",
            "--partition-range",
            days,
        ],
        cwd=PROJECT_DIR,
        env=environment(data_dir, inbox),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_two_processes_backfill_different_days_while_a_reader_reads(
    tmp_path: Path, inbox: Path, undisturbed: dict[str, pd.DataFrame]
) -> None:
    run(tmp_path, inbox)
    published = tmp_path / "published" / "clm.duckdb"
    lines = len(undisturbed["raw.events"])
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(published), str(lines)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    both = [
        launch(tmp_path, inbox, "2024-01-01...2024-01-10"),
        launch(tmp_path, inbox, "2024-01-11...2024-01-21"),
    ]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    for _ in range(3):
        done = subprocess.run(
            [script("dg"), "launch", "--assets", "published/warehouse"],
            cwd=PROJECT_DIR,
            env=environment(tmp_path, inbox),
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    reader.send_signal(signal.SIGTERM)
    output = reader.communicate()[0]
    assert output.startswith("read ") and int(output.split()[1]) > 20, output
    for name, frame in tables(published).items():
        pd.testing.assert_frame_equal(frame, undisturbed[name], obj=name)


# Opens the published copy repeatedly; it must be complete each time.
READER = """
import signal, sys, duckdb
path, lines, reads, stop = sys.argv[1], int(sys.argv[2]), 0, []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
while not stop:
    connection = duckdb.connect(path, read_only=True)
    (found, days), = connection.execute(
        "select (select count(*) from raw.events), (select count(distinct sales_date) from core.totals_daily)"
    ).fetchall()
    connection.close()
    assert found == lines and days == 21, (found, days)
    reads += 1
print("read", reads, "times")
"""


def test_clm_reports_user_errors_without_a_traceback(tmp_path: Path) -> None:
    def output(**changed: str) -> str:
        done = subprocess.run(
            [script("clm"), "run"],
            cwd=PROJECT_DIR,
            env=environment(tmp_path, tmp_path / "nowhere") | changed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        text = " ".join((done.stdout + done.stderr).replace("│", " ").split())
        assert "Traceback" not in text
        return text

    assert "it does not exist" in output() and "CLM_INPUT" in output()
    assert "has no adapter" in output(CLM_SOURCE="no_such_shop")
    assert "CLM_END_DATE" in output(CLM_END_DATE="soon")
