"""Names of columns in files, matched with the names that the contract or an adapter knows.

Belongs here: which column is meant by which name, and which names are refused or suspicious. Does not: reading files
(`reading`).

Names are matched without case, blanks, underscores and hyphens; the exact name wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from clm_dagster.domains.ingest.adapter import PROVENANCE
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats.dialects import fold
from clm_dagster.domains.ingest.masking import shown_name, shown_names

# Columns that landing adds; a file cannot have them.
RESERVED = (*PROVENANCE, "_part", "_file", "file_row_number")
# How alike an unknown name and a known one must be to be named, from 0 to 1.
_ALIKE = 0.75


@dataclass(frozen=True)
class Naming:
    """The names of a file's columns for one table.

    columns: landed name -> name in the file. renamed: the part of it that differs. resembling: unknown name -> the
    known name that it resembles.
    """

    columns: dict[str, str]
    renamed: dict[str, str] = field(default_factory=dict)
    resembling: dict[str, str] = field(default_factory=dict)


def match_names(path: Path, found: Sequence[str], known: Sequence[str]) -> Naming:
    """Match the columns of a file with known names. Raise InputError if two columns are meant by one name."""
    try:
        return _match(tuple(found), tuple(known))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


@lru_cache
def _match(found: tuple[str, ...], known: tuple[str, ...]) -> Naming:
    """Match names. Thousands of files have the same ones."""
    exact = set(found) & set(known)
    wanted = {fold(name): name for name in reversed(known) if name not in exact}
    columns: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for name in found:
        target = name if name in exact else wanted.get(fold(name), name)
        if target != name and target in renamed:
            raise InputError(
                f"the columns {renamed[target]!r} and {name!r} are both read as {target!r} (case, blanks, "
                "underscores and hyphens are ignored); rename or remove one"
            )
        columns[target] = name
        if target != name:
            renamed[target] = name
    absent = {fold(name): name for name in known if name not in columns}
    resembling = {}
    for name in found:
        close = get_close_matches(fold(name), absent, 1, _ALIKE) if columns.get(name) == name else []
        if close and name not in known:
            resembling[name] = absent[close[0]]
    return Naming(columns, renamed, resembling)


def check_required(path: Path, columns: Sequence[str], required: Sequence[str]) -> None:
    """Raise InputError if a column that the adapter requires is missing."""
    missing = [name for name in required if name not in columns]
    if not missing:
        return
    lines = []
    for name in missing:
        folded = {fold(c): c for c in columns if c not in required}
        close = get_close_matches(fold(name), folded, 1, 0.5)
        guess = f" (was it renamed to {folded[close[0]]!r}?)" if close else ""
        lines.append(f"{name!r} is missing{guess}")
    hint = ""
    if len(columns) == 1:
        hint = " If the file has another delimiter, set csv.delimiter in the adapter."
    raise InputError(
        f"{path}: {', '.join(lines)}. Expected the columns {', '.join(required)}; "
        f"found {shown_names(columns)}.{hint}"
    )


def check_names(path: Path, columns: Sequence[str]) -> None:
    """Raise InputError for reserved and duplicate names."""
    taken = [name for name in columns if name.casefold() in RESERVED]
    if taken:
        raise InputError(f"{path}: the column name {taken[0]!r} is reserved; rename the column")
    folded = [name.casefold() for name in columns]
    duplicates = [name for n, name in enumerate(columns) if name.casefold() in folded[:n]]
    if duplicates:
        name = shown_name(duplicates[0], columns)
        raise InputError(
            f"{path}: found two columns named {name} (case is ignored); expected unique column names"
        )
