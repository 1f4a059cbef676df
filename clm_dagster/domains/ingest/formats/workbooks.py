"""Workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods) as plain CSV.

Belongs here: choosing the sheet and writing its cells as text. Does not: the meaning of columns.
"""

import csv
import datetime
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats.dialects import find_header, fold

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_FIRST_ROWS = 100

Cell = int | float | str | bool | datetime.time | datetime.date | datetime.datetime | datetime.timedelta


@dataclass(frozen=True)
class Sheet:
    """A sheet that was written as CSV. header_row: its row in the sheet, from 1. others: non-empty, unread sheets."""

    name: str
    header_row: int
    rows: int
    others: list[str]


def write_sheet(path: Path, shown: Path, known: Collection[str], target: Path) -> Sheet:
    """Write the sheet whose header fits best as CSV. Raise InputError for what is no workbook, or has no rows."""
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_path(str(path))
        sheets = {name: _rows(book, name) for name in book.sheet_names}
    except python_calamine.PasswordError as error:
        raise InputError(f"{shown} is protected by a password; save it without one") from error
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise InputError(
            f"{shown} is no readable workbook ({error}); expected a workbook that Excel or LibreOffice saved as "
            f"{path.suffix.lower()}. Save it again, or as CSV."
        ) from error
    filled = {name: rows for name, rows in sheets.items() if any(any(cells) for cells in rows)}
    if not filled:
        raise InputError(f"{shown}: expected a sheet with a header, found {len(sheets)} empty sheets")
    folded = {fold(name) for name in known}
    fits = {name: _fit(rows, folded) for name, rows in filled.items()}
    chosen = max(fits, key=lambda name: fits[name])  # of equals, the first
    rows = filled[chosen]
    header = find_header(rows[:_FIRST_ROWS], folded)
    width = max(n for n, cell in enumerate(rows[header], 1) if cell.strip())
    count = 0
    with target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        for number, cells in enumerate(rows[header:], header + 1):
            if any(cell.strip() for cell in cells[width:]):
                raise InputError(
                    f"{shown}, sheet {chosen!r}, row {number}: found a value in column {width + 1} or beyond, "
                    "which has no name in the header; name the column or remove the value"
                )
            if not any(cells):
                continue
            row = (cells + [""] * width)[:width]
            writer.writerow(row) if row != [""] else out.write('""\n')
            count += 1
    return Sheet(chosen, header + 1, count - 1, [name for name in filled if name != chosen])


def _rows(book: object, name: str) -> list[list[str]]:
    from python_calamine import CalamineWorkbook

    assert isinstance(book, CalamineWorkbook)
    sheet = book.get_sheet_by_name(name)
    return [[_text(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)]


def _fit(rows: list[list[str]], folded: Collection[str]) -> int:
    header = rows[find_header(rows[:_FIRST_ROWS], folded)]
    return sum(fold(cell) in folded for cell in header)


def _text(cell: Cell) -> str:
    """Return a cell as text: whole numbers without a fraction, instants in ISO."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(sep=" ")
    return str(cell)
