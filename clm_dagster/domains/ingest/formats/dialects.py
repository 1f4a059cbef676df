"""The dialect of a delimited text file: delimiter, quote, escape, and where the header is.

Belongs here: deciding from the first lines, and which columns a header should have. Does not: encodings, reading all
rows (`delimited`).
"""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

# The likelier first; any other punctuation of the header is tried as well.
_USUAL = (",", ";", "\t", "|")
_UNUSUAL = "^~\x01\x1f\x1e:¦¬#&!*%$"
NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "blank"}
_RECORDS = 100
# Titles and blank lines above the header.
_MAX_PREAMBLE = 30
_SEPARATOR = re.compile(r"\s*\"?sep=(.)\"?\s*$", re.IGNORECASE)


class Reader(Protocol):
    """What is used of Python's csv reader."""

    @property
    def line_num(self) -> int:
        """The number of lines read."""

    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    header: number of records above the header, blank ones included. line: the header's line, from 1. escape: a
    backslash, or "" where quotes are doubled.
    """

    delimiter: str
    quote: str
    header: int
    line: int
    escape: str = ""

    def reader(self, lines: Iterator[str]) -> "Reader":
        """Return Python's reader for this dialect."""
        csv.field_size_limit(1 << 28)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape or None,
            strict=False,
        )

    @property
    def shown(self) -> str:
        """The delimiter by name."""
        return NAMES.get(self.delimiter, repr(self.delimiter))


def fold(name: str) -> str:
    """Return a column name without case, blanks, underscores and hyphens."""
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", name)).casefold()


def find_dialect(text: str, known: Collection[str], delimiter: str | None, quote: str | None) -> Dialect:
    """Return the dialect of the first part of a file. known: column names that a header may have.

    delimiter, quote: the settings, which win.
    """
    folded = {fold(name) for name in known}
    named = _named_delimiter(text)
    quote = quote or _quote(text)
    given = delimiter or named
    candidates = [given] if given else [*_USUAL, *_others(text)]
    best: tuple[tuple[float, ...], Dialect] | None = None
    for order, candidate in enumerate(candidates):
        records = _records(text, candidate, quote)
        position, line = find_header([row for row, _ in records], folded), 1
        if position < len(records):
            line = records[position][1]
        rank = (*_consistency([row for row, _ in records], position, folded), -order)
        if best is None or rank > best[0]:
            best = rank, Dialect(candidate, quote, position, line)
    assert best is not None
    return best[1]


def find_header(rows: list[list[str]], folded: Collection[str]) -> int:
    """Return the position of the header among the first rows.

    The row with most known names is the header, else the first row that is as wide as most rows.
    """
    first = rows[:_MAX_PREAMBLE]
    matches = [sum(fold(cell) in folded for cell in row if cell.strip()) for row in first]
    best = max(matches, default=0)
    if best >= 2 or (best == 1 and all(len(row) <= 1 for row in rows if row)):
        return matches.index(best)
    widths = Counter(len(row) for row in rows if any(cell.strip() for cell in row))
    if not widths:
        return 0
    usual = max(widths, key=lambda width: (widths[width], width))
    wide = [n for n, row in enumerate(first) if len(row) == usual and _is_header(row)]
    filled = [n for n, row in enumerate(first) if any(cell.strip() for cell in row)]
    return wide[0] if wide else (filled[0] if filled else 0)


def _is_header(row: list[str]) -> bool:
    filled = [cell for cell in row if cell.strip()]
    return len(filled) * 2 > len(row)


def _consistency(rows: list[list[str]], header: int, folded: Collection[str]) -> tuple[float, ...]:
    """Rank a candidate: known names in the header, share of rows as wide as the header, number of columns."""
    if header >= len(rows):
        return (0, 0, 0)
    names = rows[header]
    known = sum(fold(cell) in folded for cell in names)
    below = [row for row in rows[header + 1 :] if any(cell.strip() for cell in row)]
    same = sum(len(row) == len(names) for row in below) / len(below) if below else 1.0
    return (known, round(same, 1) if len(names) > 1 else 0.0, len(names))


def _records(text: str, delimiter: str, quote: str) -> list[tuple[list[str], int]]:
    """Return the first records with the lines on which they start."""
    found = []
    reader = Dialect(delimiter, quote, 0, 1).reader(io.StringIO(text, newline=""))
    start = 1
    try:
        for row in reader:
            found.append((row, start))
            start = reader.line_num + 1
            if len(found) == _RECORDS:
                break
    except csv.Error:
        return found
    return found


def _others(text: str) -> list[str]:
    line = next((line for line in text.splitlines() if line.strip()), "")
    return [char for char in _UNUSUAL if char in line]


def _named_delimiter(text: str) -> str | None:
    """Return the delimiter that Excel's line `sep=;` names."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    found = _SEPARATOR.match(line) if line.strip("\t") != line or len(line) < 10 else None
    return found[1] if found else None


def _quote(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    return "'" if line.startswith("'") and line.endswith("'") and '"' not in line else '"'
