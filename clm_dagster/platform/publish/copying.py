"""Replace the published copy with the warehouse atomically, writing only changed blocks.

Belongs here: files and blocks. Does not: their contents.

A DuckDB file is a sequence of blocks, and one more day changes few of them. The previous publication is kept as a
standby file. Publishing writes the changed blocks to the standby, renames it over the published file, and keeps the
replaced file as the new standby. Readers of the old file continue to see it unchanged: if a process still has the
standby open, it is left alone and a complete new copy is written.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 18  # DuckDB's block size
# Number of samples by which two files are compared, and their size; the first holds DuckDB's headers.
_SAMPLES, _SAMPLE = 64, 3 << 12


@dataclass(frozen=True)
class Copied:
    """Size of the published file, and how many bytes of it were written."""

    size: int
    written: int


def publish(source: Path, target: Path) -> Copied:
    """Make `target` equal to `source` in one atomic step. No process may write `source` meanwhile.

    If the process is killed, `target` is either the complete old file or the complete new one.
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


def looks_equal(source: Path, target: Path) -> bool:
    """Whether two files have the same size, and the same bytes in samples from start to end.

    This finds a copy that was overwritten or cut short, at a cost that does not depend on its size.
    """
    size = source.stat().st_size
    if size != target.stat().st_size:
        return False
    with source.open("rb") as one, target.open("rb") as other:
        for number in range(_SAMPLES + 1):
            offset = max(size - _SAMPLE, 0) * number // _SAMPLES
            one.seek(offset)
            other.seek(offset)
            if one.read(_SAMPLE) != other.read(_SAMPLE):
                return False
    return True


def _recover(target: Path, standby: Path, retired: Path) -> None:
    """Complete a publication that was killed between its renames."""
    if retired.exists():
        if target.exists() and retired.samefile(target):  # killed before the rename
            retired.unlink()
        else:
            retired.replace(standby)


def _update(source: Path, standby: Path) -> Copied:
    """Make the standby equal to the source, in place if no process reads it."""
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
        os.utime(old.fileno())  # update the time of modification even if no block changed
        os.fsync(old.fileno())
    return Copied(size, written)


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)  # of a copy that an earlier version made, too
    return descriptor


def _is_open_elsewhere(descriptor: int) -> bool:
    """Whether the file is open elsewhere, in this process or another one; True if that cannot be determined.

    Linux grants a write lease only if the file is not open anywhere else. A lock does not work: it would block a
    reader that has opened the file but not locked it yet.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return True
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return True
    return False
