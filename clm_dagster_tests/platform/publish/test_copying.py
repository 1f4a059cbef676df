"""The published copy is always one complete publication, despite kills and concurrent readers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from clm_dagster.platform.publish import copying
from clm_dagster.platform.publish.copying import looks_equal, publish

BLOCK = 1 << 18


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clm.duckdb"
    path.write_bytes(b"".join(bytes([n]) * BLOCK for n in range(8)) + b"tail")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "published" / "clm.duckdb"


def change(path: Path, block: int, byte: bytes = b"x") -> None:
    with path.open("r+b") as file:
        file.seek(block * BLOCK)
        file.write(byte)


def files(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_missing_target_is_created(source: Path, target: Path) -> None:
    copied = publish(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert copied.written == copied.size == 8 * BLOCK + 4
    assert files(target) == ["clm.duckdb"]


def test_only_blocks_changed_since_the_publication_before_last_are_written(
    source: Path, target: Path
) -> None:
    publish(source, target)
    publish(source, target)
    assert files(target) == [".clm.duckdb.standby", "clm.duckdb"]
    assert publish(source, target).written == 0
    change(source, 3)
    assert publish(source, target).written == BLOCK
    assert target.read_bytes() == source.read_bytes()
    change(source, 5)
    assert publish(source, target).written == 2 * BLOCK  # the standby has seen neither
    assert target.read_bytes() == source.read_bytes()


def test_a_file_can_grow_and_shrink(source: Path, target: Path) -> None:
    for _ in range(2):
        publish(source, target)
    whole = source.read_bytes()
    for content in (whole + b"more" * BLOCK, whole[: 3 * BLOCK], whole[: 3 * BLOCK - 7], b"", whole):
        source.write_bytes(content)
        publish(source, target)
        assert target.read_bytes() == content


def test_a_publication_without_changes_updates_the_modification_time(source: Path, target: Path) -> None:
    for _ in range(3):
        source.touch()
        publish(source, target)
        assert target.stat().st_mtime_ns >= source.stat().st_mtime_ns


class Killed(BaseException):
    """Simulate SIGKILL: nothing runs after it."""


def kill_at(step: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Kill a publication before the given rename (or link)."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        done = iter(range(100))

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def run(*arguments: object) -> object:
                if next(done) == step:
                    raise Killed
                return real(*arguments)

            return run

        monkeypatch.setattr(os, "link", counted(os.link))
        monkeypatch.setattr(Path, "replace", counted(Path.replace))

    return patch


@pytest.mark.parametrize(
    "step", [0, 1, 2], ids=["before the link", "before the rename", "before the standby's"]
)
def test_a_publication_recovers_after_a_kill_between_its_renames(
    step: int, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        publish(source, target)
    old = source.read_bytes()
    change(source, 2)
    with monkeypatch.context() as patch:
        kill_at(step)(patch)
        with pytest.raises(Killed):
            publish(source, target)
    assert target.read_bytes() in (old, source.read_bytes())
    published, inode = target.read_bytes(), target.stat().st_ino
    change(source, 4)
    # The published file is never written in place, not even by the publication that recovers.
    monkeypatch.setattr(
        copying, "_is_open_elsewhere", lambda descriptor: os.fstat(descriptor).st_ino == inode
    )
    with target.open("rb") as reader:
        publish(source, target)
        assert reader.read() == published
    assert target.read_bytes() == source.read_bytes()
    assert files(target) == [".clm.duckdb.standby", "clm.duckdb"]
    assert not target.samefile(target.with_name(".clm.duckdb.standby"))


def test_a_kill_during_writing_keeps_the_old_file(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        publish(source, target)
    old = target.read_bytes()
    change(source, 1)
    change(source, 6)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            publish(source, target)
    assert target.read_bytes() == old
    publish(source, target)
    assert target.read_bytes() == source.read_bytes()


def test_an_open_standby_is_not_changed(source: Path, target: Path) -> None:
    publish(source, target)
    first = source.read_bytes()
    with target.open("rb") as reader:
        for block in range(4):
            change(source, block)
            publish(source, target)
            assert target.read_bytes() == source.read_bytes()
        assert reader.read() == first


# ---------------------------------------------------------------------------------- DuckDB

READER = """
import sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print(connection.execute("select max(generation), count(*) from facts").fetchall(), flush=True)
    sys.stdin.readline()
    print(connection.execute("select max(generation), count(*), sum(n) from facts").fetchall(), flush=True)
"""
LOOP = """
import sys, time, duckdb
seen, reported = set(), False
until = time.monotonic() + 60
while time.monotonic() < until and (not seen or max(seen)[0] < int(sys.argv[2])):
    with duckdb.connect(sys.argv[1], read_only=True) as connection:
        [(low, high, count)] = connection.execute(
            "select min(generation), max(generation), count(*) from facts"
        ).fetchall()
    assert low == high, (low, high)
    assert count == 1000 * (1 + high % 5), (high, count)
    seen.add((high, count))
    if not reported:
        reported = True
        print("reading", flush=True)
print(len(seen), flush=True)
"""


def write(path: Path, generation: int) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("begin")
        connection.execute("create or replace table facts (generation integer, n bigint)")
        rows = 1000 * (1 + generation % 5)
        connection.execute(f"insert into facts select {generation}, n from range({rows}) as t(n)")
        connection.execute("commit")
        connection.execute("checkpoint")


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_reader_in_another_process_keeps_the_file_that_it_opened(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "clm.duckdb"
    write(source, 1)
    publish(source, target)
    reader = start(READER, target)
    assert line(reader) == "[(1, 2000)]"
    for generation in (2, 3, 4):
        write(source, generation)
        publish(source, target)
    assert reader.stdin is not None
    reader.stdin.write("\n")
    reader.stdin.flush()
    assert line(reader) == f"[(1, 2000, {sum(range(2000))})]"
    assert reader.wait(timeout=30) == 0
    with duckdb.connect(str(target), read_only=True) as connection:
        assert connection.execute("select max(generation) from facts").fetchall() == [(4,)]


def test_a_reader_in_a_loop_sees_no_error_and_no_partial_publication(tmp_path: Path, target: Path) -> None:
    source, last = tmp_path / "clm.duckdb", 25
    write(source, 0)
    publish(source, target)
    reader = start(LOOP, target, last)
    assert line(reader) == "reading"
    for generation in range(1, last + 1):
        write(source, generation)
        publish(source, target)
    output, errors = reader.communicate(timeout=90)
    assert reader.returncode == 0, errors
    assert int(output) > 1


def test_the_published_copy_is_a_single_file(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "clm.duckdb"
    write(source, 7)
    publish(source, target)
    moved = tmp_path / "elsewhere.duckdb"
    shutil.copy(target, moved)
    with duckdb.connect(str(moved), read_only=True) as connection:
        assert connection.execute("select count(*) from facts").fetchall() == [(3000,)]


@pytest.mark.parametrize("damage", ["garbage", "half", "zeros", "end"])
def test_garbage_in_the_published_copy_is_seen_and_made_again(
    source: Path, tmp_path: Path, damage: str
) -> None:
    target = tmp_path / "published" / "clm.duckdb"
    publish(source, target)
    whole = source.read_bytes()
    assert looks_equal(source, target)
    damaged = {
        "garbage": b"garbage",
        "half": whole[: len(whole) // 2],
        "zeros": bytes(len(whole)),
        "end": whole[:-4] + b"nail",
    }
    target.write_bytes(damaged[damage])
    assert not looks_equal(source, target)
    publish(source, target)
    assert target.read_bytes() == whole
