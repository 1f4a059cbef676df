"""CSV text that no spreadsheet runs.

Belongs here: harmless cells, and the text of a CSV file. Does not: which columns a file has (`files`).
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

# What spreadsheets take for the start of a formula, after full-width and small forms are made plain ones.
_STARTS = frozenset("=+-@\u2212")
# Blanks, quotes, marks and controls, which spreadsheets skip or drop before they look.
_SKIPPED = re.compile(
    r"^[\s\"'`\u2018-\u201f\u00ab\u00bb\u00a0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\x00-\x1f\x7f]+"
)
_BREAKS = re.compile(r"[\t\r\n\x0b\x0c\x85\u2028\u2029]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
# A plain number is no formula, and an id such as +4912 has to stay the same.
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet could run a text as a formula.

    >>> [is_formula(text) for text in ("=1+1", ' "=1+1"', "\\uff1d1+1", "-5", "a=b")]
    [True, True, True, False, False]
    """
    if _NUMBER.fullmatch(text):
        return False
    start = _SKIPPED.sub("", text)
    return bool(start) and unicodedata.normalize("NFKC", start[0])[:1] in _STARTS


def harmless(value: object) -> str:
    """Return a cell: line breaks and tabs as blanks, and an apostrophe before what would be a formula."""
    if value is None:
        return ""
    text = _CONTROLS.sub("", _BREAKS.sub(" ", str(value)))
    return f"'{text}" if is_formula(text) else text


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a CSV file. Every cell is quoted, so that no other separator splits one."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([harmless(value) for value in row] for row in rows)
    return stream.getvalue()
