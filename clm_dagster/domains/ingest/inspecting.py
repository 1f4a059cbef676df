"""What `clm inspect` finds in a file: how it is written, its first rows, and what is suspicious about its columns.

Belongs here: looking at one file, without a source. Does not: terminal output (`inspect_view`), drafts of adapters
(`drafting`).
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from clm_dagster.domains.ingest import values
from clm_dagster.domains.ingest.column_formats import INSTANT, NUMBER, WHOLE, decide
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.drafting import SYNONYMS
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile, fingerprint, list_inbox
from clm_dagster.domains.ingest.presets import Preset, recognise
from clm_dagster.domains.ingest.reading import (
    Readable,
    explain,
    is_rewritten,
    open_file,
    rewritten,
    select_rows,
)
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

TEXT = "text"
_FIRST_ROWS = 5
# A column is of a type if at least this share of its values is, and suspicious if a smaller part is, but not few.
_MOST, _SOME = 0.95, 0.05
_TIME_NAME = re.compile(r"date|time|created|updated|paid|_at$|\bat$|timestamp", re.IGNORECASE)
_MAIL = r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"
_PERSONAL = re.compile(
    r"e-?mail|phone|mobile|first.?name|last.?name|street|address|birth|iban", re.IGNORECASE
)


@dataclass(frozen=True)
class Column:
    """One column. kind: instant, number, whole or text. nulls, distinct: counts of values. remarks: what to check."""

    name: str
    kind: str
    style: str
    nulls: int
    distinct: int
    examples: tuple[str, ...]
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Inspection:
    """One file. decided: how it is written. first_rows: as they will be read, instants in the shop's time zone."""

    path: Path
    decided: Mapping[str, str]
    rows: int
    columns: list[Column]
    first_rows: list[tuple[str | None, ...]]
    preset: Preset | None
    open_dates: bool = False


def inspect_file(
    given: str, contract: Mapping[str, ContractTable], zone: str, presets: Sequence[Preset] = ()
) -> list[Inspection]:
    """Inspect a file, or each file of an archive or folder. presets: the exports that are known. Raise InputError."""
    known = dict.fromkeys([*(n for t in contract.values() for n in t.columns), *_synonyms()])
    # A header in another encoding or below other lines is found by the names that it may have.
    known |= dict.fromkeys(name for preset in presets for name in preset.columns)
    return [
        _inspect(fingerprint(place, {}), tuple(known), zone, presets) for place in list_inbox(given).places
    ]


def _synonyms() -> list[str]:
    return [name for names in SYNONYMS.values() for name in names]


def _inspect(file: InputFile, known: Sequence[str], zone: str, presets: Sequence[Preset]) -> Inspection:
    with tempfile.TemporaryDirectory() as folder:
        raw = duckdb.connect(str(Path(folder) / "inspect.duckdb"))
        try:
            connection = Connection(raw)
            connection.execute("set timezone = 'UTC'")
            readable = _load(connection, open_file(connection, file, known, {}, Path(folder)), Path(folder))
            rows = connection.scalar("select count(*) from rows")
            columns = [_column(connection, name, zone, file.path, rows) for name in readable.columns]
            shown = ", ".join(f"cast({_read(column, zone)} as varchar)" for column in columns)
            first = connection.execute(f"select {shown} from rows order by _source_row limit {_FIRST_ROWS}")
        finally:
            raw.close()
    is_open = any("dates: day_first" in remark for column in columns for remark in column.remarks)
    preset = recognise(readable.columns, presets)
    return Inspection(file.path, readable.decided, rows, columns, first, preset, is_open)


def _load(connection: Connection, readable: Readable, scratch: Path) -> Readable:
    """Load the rows of a file, rewritten if DuckDB does not read it exactly."""
    while True:
        try:
            connection.execute(f"create or replace table rows as {select_rows([readable])}")
        except duckdb.Error as error:
            if is_rewritten(readable):
                raise explain(error, [readable]) from error
        else:
            if is_rewritten(readable) or connection.scalar("select count(*) from rows") == readable.rows:
                return readable
        readable = rewritten(readable, scratch)


def _column(connection: Connection, name: str, zone: str, path: Path, rows: int) -> Column:
    text = f"nullif(trim({quoting.name(name)}), '')"
    point, comma = (values.number_text(name, style) for style in values.NUMBER_STYLES)
    written = [values.instant(name, zone, s) for s in (values.DAY_FIRST, values.MONTH_FIRST)]
    given, distinct, whole, number, point_read, comma_read, dates, mails, floats, scientific = (
        connection.execute(
            f"select count(v), count(distinct v), count(*) filter (regexp_matches(v, '^[+-]?[0-9]+$')), "
            f"count(try_cast(v as double)), count(try_cast({point} as double)), count(try_cast({comma} as double)), "
            f"count(*) filter (({written[0]}) is not null or ({written[1]}) is not null), "
            f"count(*) filter (regexp_matches(v, '{_MAIL}')), "
            "count(*) filter (regexp_matches(v, '^[0-9]{3,}[.]0$')), "
            "count(*) filter (regexp_matches(v, '^[0-9][.,]?[0-9]*[eE][+][0-9]+$')) "
            f"from (select *, {text} as v from rows)"
        )[0]
    )
    numbers = max(number, point_read, comma_read)
    kind = TEXT
    if given and dates >= _MOST * given:
        kind = INSTANT
    elif given and numbers >= _MOST * given:
        kind = INSTANT if _TIME_NAME.search(name) and _is_epoch(connection, name) else NUMBER
        kind = WHOLE if kind == NUMBER and whole == given else kind
    remarks: list[str] = []
    style = ""
    if kind != TEXT:
        try:
            found = decide(connection, "rows", {name: kind}, zone, path)
            style = found.columns.get(name, "")
            remarks += found.notes
        except InputError as error:
            remarks.append(str(error).removeprefix(f"{path}: "))
    remarks += _suspicions(name, kind, rows, given, distinct, numbers, mails, floats, scientific)
    examples = connection.execute(f"select min({text}), max({text}) from rows")[0]
    shown = tuple(dict.fromkeys(str(value)[:40] for value in examples if value is not None))
    return Column(name, kind, style, rows - given, distinct, shown, remarks)


def _is_epoch(connection: Connection, name: str) -> bool:
    """Whether numbers in a column of a time are in the range of this century's instants, days or serial numbers."""
    found = decide(connection, "rows", {name: INSTANT}, "UTC", name).columns
    return found.get(name, "") not in ("", values.WRITTEN)


def _suspicions(
    name: str,
    kind: str,
    rows: int,
    given: int,
    distinct: int,
    numbers: int,
    mails: int,
    floats: int,
    scientific: int,
) -> list[str]:
    found = []
    if not given:
        return ["no value in any row"] if rows else []
    if distinct == 1 and rows > 1 and given == rows:
        found.append("the same value in every row")
    if kind == TEXT and _SOME * given < numbers < _MOST * given:
        found.append(f"mixed: {numbers:,} of {given:,} values are numbers")
    if floats > _SOME * given:
        found.append("whole numbers with .0, as of ids that were stored as floats; identifier() undoes it")
    if scientific:
        found.append(f"{scientific:,} values in scientific notation, of which digits are lost")
    if mails > _SOME * given or _PERSONAL.search(name):
        found.append("personal data; hash it in the adapter or leave it out")
    if re.search(r"(event|row|line|transaction)[ _]?id$", name, re.IGNORECASE) and distinct < given:
        found.append(f"{given - distinct:,} rows repeat an id of another row, so it is no key of a row")
    return found


def _read(column: Column, zone: str) -> str:
    """Return SQL for a value as it will be read."""
    name = quoting.name(column.name)
    if column.kind == INSTANT:
        read = values.instant(column.name, zone, column.style)
        return f"coalesce(cast({read} as varchar), {name})"
    if column.kind in (NUMBER, WHOLE):
        return f"coalesce({values.number_text(column.name, column.style)}, {name})"
    return name
