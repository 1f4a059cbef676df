"""Quoting of literals, column names and paths in SQL.

Belongs here: quoting. Does not: any SQL statement.
"""

from collections.abc import Iterable
from pathlib import Path

_GLOB = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})


def text(value: object) -> str:
    """Return a value as a text literal."""
    return "'" + str(value).replace("'", "''") + "'"


def name(value: str) -> str:
    """Return a quoted column name."""
    return '"' + value.replace('"', '""') + '"'


def path(value: Path) -> str:
    """Return a path as a literal that matches exactly this file."""
    # DuckDB treats paths as globs. A path with a backslash matches nothing as a glob, so DuckDB takes it literally.
    plain = str(value)
    return text(plain if "\\" in plain else plain.translate(_GLOB))


def paths(values: Iterable[Path]) -> str:
    """Return a list of paths as a SQL list literal."""
    return "[" + ", ".join(path(value) for value in values) + "]"
