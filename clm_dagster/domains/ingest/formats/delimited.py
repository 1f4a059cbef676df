"""Delimited text of any dialect as a file that DuckDB reads exactly.

Belongs here: counting the records of a plain file, and rewriting any other file with Python's csv module, row by row.
Does not: deciding the dialect (`dialects`), encodings.

Python's csv module is the reference for what a row is. A plain file (UTF-8, one kind of line end, doubled quotes, the
header first) is read by DuckDB directly, and the number of rows is compared with a count of its records.
"""

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats.dialects import Dialect
from clm_dagster.domains.ingest.formats.streams import CHUNK, Raw, open_bytes

_END = "\x00end of file\x00"
_MAX_FIELD = 1 << 28


@dataclass(frozen=True)
class Scan:
    """What the bytes of a file show. records: without blank ones, the header included."""

    records: int
    mixed_line_ends: bool
    backslash_quotes: bool
    zero_bytes: bool

    @property
    def is_plain(self) -> bool:
        """Whether DuckDB can read the file as it is."""
        return not (self.mixed_line_ends or self.backslash_quotes or self.zero_bytes)


def scan(path: Path, shown: Path, quote: str) -> Scan:
    """Count the records of a file and look for what DuckDB cannot read."""
    mark = ord(quote)
    parity = records = feeds = returns = crlf = 0
    backslash = zero = False
    last, before, after_cr = -1, 0, False
    tail, pair = b"", b"\\" + quote.encode()
    with open_bytes(path, shown) as stream:
        while chunk := stream.read(CHUNK):
            data = np.frombuffer(chunk, np.uint8)
            backslash = backslash or pair in tail + chunk
            tail = chunk[-1:]
            feeds_at = np.flatnonzero(data == 10)
            ends = feeds_at
            if parity or chunk.find(mark) >= 0:
                quotes = np.flatnonzero(data == mark)
                inside = (np.searchsorted(quotes, feeds_at) + parity) & 1
                ends = feeds_at[inside == 0]
                parity = (parity + len(quotes)) & 1
            zero = zero or b"\0" in chunk
            if b"\r" in chunk or after_cr:
                returns += chunk.count(b"\r")
                previous = np.concatenate(([13 if after_cr else 0], data[:-1]))
                is_crlf = previous[ends] == 13
                crlf += int(is_crlf.sum())
            else:
                is_crlf = np.zeros(len(ends), bool)
            feeds += len(ends)
            positions = ends + before
            lengths = np.diff(positions, prepend=last) - 1 - is_crlf
            records += int((lengths > 0).sum())
            last = int(positions[-1]) if len(positions) else last
            after_cr = chunk.endswith(b"\r")
            before += len(chunk)
    if before - last - 1 > 0:
        records += 1
    # A return that ends no line is one in a quoted field, or a line end of another kind.
    mixed = returns != crlf or 0 < crlf < feeds
    return Scan(records, mixed, backslash, zero)


def rewrite(
    path: Path, shown: Path, codec: str, dialect: Dialect, columns: Sequence[str], target: Path
) -> tuple[Dialect, int]:
    """Write a file as plain UTF-8 CSV; return its dialect with the escape found, and the number of rows.

    columns: the names for the header.

    Raise InputError with the line of a row that has another number of columns than the header.
    """
    if dialect.escape == "" and _has_backslash_quotes(path, shown, codec, dialect.quote):
        # A quote after a backslash: the end of the field, or a part of it. The reading with fewer odd rows is right.
        escaped = Dialect(dialect.delimiter, dialect.quote, dialect.header, dialect.line, "\\")
        if _odd_rows(path, shown, codec, escaped) < _odd_rows(path, shown, codec, dialect):
            dialect = escaped
    rows = 0
    with target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        for row, line in itertools.islice(records(path, shown, codec, dialect), 1, None):
            row = fit(row, len(columns), shown, line)
            # A row of one empty field would be a blank line.
            writer.writerow(row) if row != [""] else out.write('""\n')
            rows += 1
    return dialect, rows


def records(path: Path, shown: Path, codec: str, dialect: Dialect) -> Iterator[tuple[list[str], int]]:
    """Yield the header and the rows with the lines on which they start; blank lines are left out.

    Raise InputError for a quote that is not closed.
    """
    with open_bytes(path, shown) as stream:
        lines = io.TextIOWrapper(io.BufferedReader(Raw(stream), CHUNK), codec, newline="")
        reader = dialect.reader(_closed(lines))
        start = 1
        try:
            for position, row in enumerate(reader):
                if row == [_END]:
                    return
                if any(_END in cell for cell in row):
                    raise InputError(
                        f"{shown}, line {start}: found a quote that is not closed in column "
                        f"{next(n for n, cell in enumerate(row, 1) if _END in cell)}; expected quotes in pairs, and "
                        "quotes inside a value doubled. Is the file truncated?"
                    )
                if position >= dialect.header and not _is_blank(row):
                    yield row, start
                start = reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{shown}, line {start}: {error}; expected a row of at most {_MAX_FIELD:,} characters a field. "
                "Is a quote missing?"
            ) from error


def _closed(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines and a last one, which ends up inside of a field if a quote is not closed."""
    line = "\n"
    for line in lines:
        if line.endswith(("\n", "\r")):
            yield line
    if not line.endswith(("\n", "\r")):
        yield line + "\n"
    yield _END


def _is_blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and row[0].isspace())


def fit(row: list[str], width: int, shown: Path, line: int) -> list[str]:
    """Return a row of the header's width. Empty fields beyond it are left out. Raise InputError for other widths."""
    if len(row) > width and not any(cell.strip() for cell in row[width:]):
        return row[:width]
    if len(row) != width:
        raise InputError(
            f"{shown}, line {line}: expected {width} columns, found {len(row)}. Is the file truncated, or a quote "
            "missing?"
        )
    return row


def _has_backslash_quotes(path: Path, shown: Path, codec: str, quote: str) -> bool:
    with open_bytes(path, shown) as stream:
        lines = io.TextIOWrapper(io.BufferedReader(Raw(stream), CHUNK), codec, newline="")
        return any("\\" + quote in line for line in lines)


def _odd_rows(path: Path, shown: Path, codec: str, dialect: Dialect) -> int:
    width, odd = 0, 0
    try:
        for row, _ in records(path, shown, codec, dialect):
            width = width or len(row)
            odd += len(row) != width
    except InputError:
        return 1 << 30
    return odd
