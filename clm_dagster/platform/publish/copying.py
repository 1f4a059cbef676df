"""Replace the published copy by the warehouse, whole and atomically, writing only what changed.

Belongs here: files and blocks. Does not: what is in them.

A DuckDB file is a row of blocks, and one more day changes few of them. The publication before last
is kept as a standby: the blocks in which it differs from the warehouse are written to it, then it
takes the published file's place by rename, and the file it replaced becomes the standby. Who reads
the old file goes on reading it, unchanged: a standby that anyone still has open is left to him, and a
whole new copy is made.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 18  # DuckDB's own block size


@dataclass(frozen=True)
class Copied:
    """How much of the file was written."""

    size: int
    written: int


def publish(source: Path, target: Path) -> Copied:
    """Make `target` equal to `source`, which nobody may be writing, in one atomic step.

    Killed at any moment, `target` is the old file or the new one, whole.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    standby = target.with_name(f".{target.name}.standby")
    retired = target.with_name(f".{target.name}.retired")
    _recover(target, standby, retired)
    copied = _update(source, standby)
    if target.exists():
        os.link(target, retired)
    standby.replace(target)
    if retired.exists():
        retired.replace(standby)
    return copied


def _recover(target: Path, standby: Path, retired: Path) -> None:
    """Finish what a publication that was killed between its renames had begun."""
    if retired.exists():
        if target.exists() and retired.samefile(target):  # killed before the rename: still the published file
            retired.unlink()
        else:
            retired.replace(standby)


def _update(source: Path, standby: Path) -> Copied:
    """Make the standby equal to the source, in place where nobody reads it."""
    descriptor = _open(standby)
    if _is_open_elsewhere(descriptor):
        os.close(descriptor)
        standby.unlink()
        descriptor = _open(standby)
    with os.fdopen(descriptor, "r+b") as old, source.open("rb") as new:
        size, written, offset = os.fstat(new.fileno()).st_size, 0, 0
        while block := new.read(_BLOCK):
            if old.read(len(block)) != block:
                old.seek(offset)
                old.write(block)
                written += len(block)
            offset += len(block)
        old.truncate(size)
        old.flush()
        os.utime(old.fileno())  # as new as the warehouse, also where not one block differs
        os.fsync(old.fileno())
    return Copied(size, written)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _is_open_elsewhere(descriptor: int) -> bool:
    """Whether anyone else has the file open, in this process or another; if in doubt, yes.

    Linux grants a write lease only to a file's sole opener. A lock would not do: a reader that has
    opened the file and not locked it yet would be refused it.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return True
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return True
    return False
