"""Names and paths inside SQL, whatever characters they have.

Belongs here: quoting. Does not: any statement.
"""

from collections.abc import Iterable
from pathlib import Path

_GLOB = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})


def text(value: object) -> str:
    """A text literal."""
    return "'" + str(value).replace("'", "''") + "'"


def name(value: str) -> str:
    """A column's name."""
    return '"' + value.replace('"', '""') + '"'


def path(value: Path) -> str:
    """A path to read, as a literal that stands for this one file."""
    # DuckDB reads a path as a glob. One with a backslash matches nothing that way, and is then taken as it is.
    plain = str(value)
    return text(plain if "\\" in plain else plain.translate(_GLOB))


def paths(values: Iterable[Path]) -> str:
    """A list of paths to read."""
    return "[" + ", ".join(path(value) for value in values) + "]"
