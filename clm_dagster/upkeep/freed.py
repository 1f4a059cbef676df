"""What a part of `clm vacuum` frees.

Belongs here: that type, sizes of files, deleting them. Does not: what may be deleted (`vacuum` and the parts).
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Freed:
    """A kind of stored data: how much is freed, in bytes, and what of it is kept and why."""

    kind: str
    number: int
    size: int
    kept: str = ""


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder; 0 if it is gone."""
    if path.is_dir():
        return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir())
    return path.lstat().st_size if path.exists() else 0


def delete(paths: Iterable[Path]) -> None:
    """Delete files and folders; one that is gone is no error."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
