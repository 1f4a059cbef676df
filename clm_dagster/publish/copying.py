"""Replace the published copy by the warehouse, whole and atomically, writing only what changed.

Belongs here: files and blocks. Does not: what is in them.

A DuckDB file is a row of blocks, and one more day changes few of them. The publication before last
is kept as a standby: the blocks in which it differs from the warehouse are written to it, then it
takes the published file's place by rename, and the file it replaced becomes the standby. Who reads
the old file goes on reading it, unchanged: a standby that is still being read is left alone (its
reader holds a lock on it) and a whole new copy is made.
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
    if retired.exists():  # a publication was killed between its two renames
        retired.replace(standby)
    copied = _update(source, standby)
    if target.exists():
        os.link(target, retired)
    standby.replace(target)
    if retired.exists():
        retired.replace(standby)
    return copied


def _update(source: Path, standby: Path) -> Copied:
    """Make the standby equal to the source, in place where nobody reads it."""
    flags = os.O_RDWR | os.O_CREAT
    descriptor = os.open(standby, flags, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # A reader opened it while it was the published file: leave it to him, begin a new one.
        os.close(descriptor)
        standby.unlink()
        descriptor = os.open(standby, flags, 0o644)
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
        os.fsync(old.fileno())
    return Copied(size, written)
