"""Stored files: private, replaced atomically, and errors of a disk that say what to do."""

import errno
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from clm_dagster import storage
from clm_dagster.storage import explained, make_private, private_umask, restrict, write_json


@pytest.fixture
def umask() -> Iterator[None]:
    """Give every file to everybody, as most shells do, and restore it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_process_creates_files_that_only_its_user_can_read(tmp_path: Path) -> None:
    private_umask()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("Jane")
    assert (mode(tmp_path / "folder"), mode(tmp_path / "folder" / "file")) == (0o700, 0o600)


@pytest.mark.usefixtures("umask")
def test_an_open_data_folder_is_mended_and_what_is_the_users_is_left(tmp_path: Path) -> None:
    for name in ("clm.duckdb", "mlflow.db", "landing/generic/rows.parquet", "inbox/orders.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Jane")
    make_private(tmp_path)
    assert mode(tmp_path) == 0o700
    assert mode(tmp_path / "clm.duckdb") == mode(tmp_path / "mlflow.db") == 0o600
    assert mode(tmp_path / "landing" / "generic") == 0o700
    assert mode(tmp_path / "landing" / "generic" / "rows.parquet") == 0o600
    assert mode(tmp_path / "inbox") == 0o755 and mode(tmp_path / "inbox" / "orders.csv") == 0o644


@pytest.mark.usefixtures("umask")
def test_a_folder_with_files_of_others_keeps_its_own_permissions(tmp_path: Path) -> None:
    (tmp_path / "clm.duckdb").write_text("Jane")
    (tmp_path / "thesis.odt").write_text("a user's own file")
    tmp_path.chmod(0o755)
    make_private(tmp_path)
    assert mode(tmp_path) == 0o755 and mode(tmp_path / "thesis.odt") == 0o644
    assert mode(tmp_path / "clm.duckdb") == 0o600


@pytest.mark.usefixtures("umask")
def test_a_new_data_folder_is_private_and_a_link_is_not_followed(tmp_path: Path) -> None:
    make_private(tmp_path / "data")
    assert mode(tmp_path / "data") == 0o700
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "landing").symlink_to(tmp_path / "elsewhere")
    restrict(tmp_path / "data" / "landing")
    assert mode(tmp_path / "elsewhere") == 0o755


def test_processes_that_write_one_file_at_the_same_time_leave_a_whole_one(tmp_path: Path) -> None:
    path, failures = tmp_path / "last_run.json", list[Exception]()

    def write(number: int) -> None:
        try:
            for _ in range(50):
                write_json(path, {"number": number, "padding": "x" * 5_000})
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and json.loads(path.read_text())["number"] in range(4)
    assert [each.name for each in tmp_path.iterdir()] == ["last_run.json"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "The disk is full"),
        (OSError(errno.EFBIG, "File too large"), "The disk is full"),
        (
            duckdb.IOException('Could not write file "/d/clm.duckdb": No space left on device'),
            "The disk is full",
        ),
        (sqlite3.OperationalError("database or disk is full"), "The disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), "may not write there"),
        (OSError(errno.EROFS, "Read-only file system", "/data/x"), "may not write there"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "may not write there"),
        (sqlite3.DatabaseError("database disk image is malformed"), "is damaged"),
    ],
)
def test_an_error_of_a_disk_says_what_to_do(error: Exception, said: str, tmp_path: Path) -> None:
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = error
    found = explained(wrapped, tmp_path)
    assert found is not None and said in str(found)
    assert "CLM_DATA_DIR" in str(found) or "Restore it" in str(found)


def test_any_other_error_is_not_explained(tmp_path: Path) -> None:
    assert explained(ZeroDivisionError("by zero"), tmp_path) is None
    assert explained(FileNotFoundError(errno.ENOENT, "No such file", "/x"), tmp_path) is None
    assert storage.remedy("column not found", tmp_path) is None


@pytest.mark.parametrize(
    ("folder", "advice"), [(".", "from a backup"), ("published", "which makes it again")]
)
def test_a_truncated_database_is_named(folder: str, advice: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "clm.duckdb"
    path.parent.mkdir(exist_ok=True)
    with duckdb.connect(str(path)) as made:
        made.execute("create table t as select range as n from range(100000)")
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(duckdb.Error) as raised:
        duckdb.connect(str(path)).execute("select sum(n) from t")
    found = explained(raised.value, tmp_path)
    assert found is not None and f"{path} is damaged" in str(found) and advice in str(found)
