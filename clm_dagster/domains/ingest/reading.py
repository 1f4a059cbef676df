"""Input files as queries for rows of text.

Belongs here: CSV, CSV.gz, Parquet and JSON lines, and clear errors for all invalid files. Does not: finding files
(`files`), the meaning of columns (`adapter`), writing rows (`landing`).

The format of a CSV is not guessed: its header names the columns, the adapter defines delimiter, quote and encoding,
and a line that does not fit is an error.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Sequence
from difflib import get_close_matches

import duckdb

from clm_dagster.domains.ingest.adapter import PROVENANCE, Adapter
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import Feed
from clm_dagster.domains.ingest.files import InputFile, check_gzip, damaged_gzip, read_head
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

# Columns that landing adds; a file cannot have them.
RESERVED = (*PROVENANCE, "_part", "_file", "file_row_number")

# DuckDB 1 reads a truncated gzip file without an error.
_CUT_GZIP_IS_SILENT = duckdb.__version__.startswith("1.")


def read_columns(connection: Connection, file: InputFile, adapter: Adapter) -> tuple[str, ...]:
    """Return the column names of a file. Raise InputError if its content does not match its extension."""
    encoding = adapter.csv["encoding"] if file.format == "csv" else "utf-8"
    read_head(file, encoding)
    if file.is_gzip and _CUT_GZIP_IS_SILENT:
        check_gzip(file)
    try:
        if file.format == "csv":
            columns = _header(file, adapter)
        elif file.format == "json":
            columns = _keys(connection, file)
        else:
            columns = tuple(connection.columns(f"select * from {_reader([file], (), adapter)}"))
    except duckdb.Error as error:
        raise explain(error, [file]) from error
    _check_names(file, columns)
    return columns


def check_columns(file: InputFile, columns: Sequence[str], feed: Feed) -> None:
    """Raise InputError if a column that the adapter requires is missing."""
    missing = [name for name in feed.required if name not in columns]
    if not missing:
        return
    lines = []
    for name in missing:
        folded = {_folded(c): c for c in columns if c not in feed.required}
        close = get_close_matches(_folded(name), folded, 1, 0.5)
        guess = f" (was it renamed to {folded[close[0]]!r}?)" if close else ""
        lines.append(f"{name!r} is missing{guess}")
    hint = ""
    if len(columns) == 1 and any(d in columns[0] for d in ",;\t|"):
        hint = " The header seems to use another delimiter: set csv.delimiter in the adapter."
    raise InputError(
        f"{file.path}: {', '.join(lines)}. Expected the columns {', '.join(feed.required)}; "
        f"found {', '.join(columns)}.{hint}"
    )


def select_rows(files: Sequence[InputFile], columns: Sequence[str], adapter: Adapter) -> str:
    """Return a query for all rows of files with the same columns, every value as text. Empty text becomes null.

    The query adds `_file` (the path) and `_source_row` (from 1, without a CSV's header). Only Parquet files can be read
    together, because only their reader numbers the rows of each file.
    """
    names = [quoting.name(name) for name in columns]
    if files[0].format == "parquet":
        values = ", ".join(f"nullif(cast({name} as varchar), '') as {name}" for name in names)
        return f"select {values}, _file, file_row_number + 1 as _source_row from {_reader(files, columns, adapter)}"
    if files[0].format == "json":
        values = ", ".join(
            f"nullif(json ->> {quoting.text(_pointer(column))}, '') as {name}"
            for column, name in zip(columns, names, strict=True)
        )
    else:
        values = ", ".join(names)
    return (
        f"select {values}, {quoting.text(files[0].path)} as _file, row_number() over () as _source_row "
        f"from {_reader(files, columns, adapter)}"
    )


def explain(error: duckdb.Error, files: Sequence[InputFile]) -> InputError:
    """Translate DuckDB's error about a file to an error for the user."""
    text = str(error)
    named = [file for file in files if str(file.path) in text]
    file = named[0] if named else files[0]
    line = re.search(r"[Ll]ine:? (\d+)", text)
    at = f", line {line[1]}" if line else ""
    if "GZIP" in text or "gzip" in text:
        return damaged_gzip(file)
    if re.search(r"unicode|utf-?8 |byte sequence", text, re.IGNORECASE):
        return InputError(
            f"{file.path}{at}: found bytes that are not UTF-8, expected one encoding throughout. Save it as "
            "UTF-8, or set csv.encoding in the adapter (for example latin-1)."
        )
    number = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    original = re.search(r"Original Line: ?(.*)", text)
    shown = f" in {original[1][:120]!r}" if original else ""
    if number:
        return InputError(
            f"{file.path}{at}: expected {number[1]} columns, found {number[2]}{shown}. "
            "Is the file truncated, or a quote missing?"
        )
    if "unterminated quote" in text:
        return InputError(
            f"{file.path}{at}: found a quote that is not closed{shown}; expected quotes in pairs, and quotes inside "
            "a value doubled. Is the file truncated?"
        )
    if "invalid state" in text:
        return InputError(
            f"{file.path}{at}: found different line endings or a misplaced quote; expected the same line ending in "
            "the whole file."
        )
    if file.format == "json" and named:
        return _broken_json(file)
    first = (text.splitlines() or [type(error).__name__])[0][:300]
    return InputError(f"{file.path}{at} {'cannot be read' if named else 'could not be landed'}: {first}")


def _broken_json(file: InputFile) -> InputError:
    """Find the line that is not valid JSON, because DuckDB's line numbers are not reliable."""
    with gzip.open(file.path) if file.is_gzip else file.path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                json.loads(line)
            except ValueError as error:
                shown = line[:120].decode(errors="replace").strip()
                return InputError(
                    f"{file.path}, line {number}: expected one JSON object on each line, found {shown!r} ({error})"
                )
    return InputError(f"{file.path}: expected one JSON object on each line, found something else")


def _header(file: InputFile, adapter: Adapter) -> tuple[str, ...]:
    """Return the column names of a CSV. A column without a name is named by its position."""
    encoding = adapter.csv["encoding"]
    try:
        with (
            gzip.open(file.path) if file.is_gzip else file.path.open("rb") as raw,
            io.TextIOWrapper(raw, "utf-8-sig" if encoding == "utf-8" else encoding, newline="") as lines,
        ):
            rows = csv.reader(lines, delimiter=adapter.csv["delimiter"], quotechar=adapter.csv["quote"])
            header = next((row for row in rows if row), [])
    except UnicodeError as error:
        raise InputError(
            f"{file.path}, line 1: found bytes that are not {encoding.upper()}, expected one encoding throughout. "
            "Save it as UTF-8, or set csv.encoding in the adapter."
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged_gzip(file) from error
    except csv.Error as error:
        raise InputError(f"{file.path}, line 1: expected a header of column names, found {error}") from error
    if not any(name.strip() for name in header):
        raise InputError(f"{file.path}: expected a header of column names, found none")
    return tuple(name.strip() or f"column{n}" for n, name in enumerate(header, 1))


def _keys(connection: Connection, file: InputFile) -> tuple[str, ...]:
    """Return the keys of all objects of a JSON lines file."""
    found = connection.execute(
        "select distinct kind, unnest(case when kind = 'OBJECT' then json_keys(json) else [null] end) from "
        f"(select json, json_type(json) as kind from {_reader([file], (), None)})"
    )
    others = sorted({kind.lower() for kind, _ in found if kind != "OBJECT"})
    if others:
        raise InputError(f"{file.path}: expected one JSON object on each line, found {', '.join(others)}")
    return tuple(sorted(key for _, key in found))


def _check_names(file: InputFile, columns: Sequence[str]) -> None:
    taken = [name for name in columns if name.casefold() in RESERVED]
    if taken:
        raise InputError(f"{file.path}: the column name {taken[0]!r} is reserved; rename the column")
    folded = [name.casefold() for name in columns]
    duplicates = [name for n, name in enumerate(columns) if name.casefold() in folded[:n]]
    if duplicates:
        raise InputError(
            f"{file.path}: found two columns named {duplicates[0]!r} (case is ignored); expected unique column names"
        )


def _reader(files: Sequence[InputFile], columns: Sequence[str], adapter: Adapter | None) -> str:
    paths = quoting.paths(file.path for file in files)
    packed = ", compression = 'gzip'" if files[0].is_gzip else ""
    if files[0].format == "parquet":
        extra = ", filename = '_file', file_row_number = true" if columns else ""
        return f"read_parquet({paths}, hive_partitioning = false{extra})"
    if files[0].format == "json" or adapter is None:
        return f"read_ndjson_objects({paths}{packed})"
    typed = ", ".join(f"{quoting.text(name)}: 'varchar'" for name in columns)
    return (
        f"read_csv({paths}, auto_detect = false, header = true, columns = {{{typed}}}, "
        f"delim = {quoting.text(adapter.csv['delimiter'])}, quote = {quoting.text(adapter.csv['quote'])}, "
        f"escape = {quoting.text(adapter.csv['quote'])}, encoding = {quoting.text(adapter.csv['encoding'])}, "
        f"hive_partitioning = false{packed})"
    )


def _pointer(key: str) -> str:
    """Return a JSON pointer to a key, with special characters escaped."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _folded(name: str) -> str:
    return name.casefold().replace(" ", "").replace("_", "")
