"""A shop's files: finding, fingerprinting and reading them as rows of text.

Belongs here: CSV, CSV.gz, Parquet and JSON lines, and every way in which one can be broken. Does
not: what a column means (`adapter`), where rows go (`landing`).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import duckdb

from clm_dagster.ingest.adapter import Adapter, AdapterTable
from clm_dagster.ingest.errors import InputError
from clm_dagster.warehouse import Connection

FORMATS = {
    ".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet",
    ".jsonl": "json", ".ndjson": "json", ".jsonl.gz": "json", ".ndjson.gz": "json",
}  # fmt: skip
_MAGIC = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"<!DOC": "a web page",
    b"<html": "a web page",
}


@dataclass(frozen=True)
class InputFile:
    """One file of a delivery. `delivery_id` is a hash of its content."""

    path: Path
    relative: str
    format: str
    size: int
    delivery_id: str


def find_paths(given: str) -> list[tuple[Path, str]]:
    """Files that an input (file, folder or glob) stands for, each with its name relative to it.

    Hidden files and those that begin with an underscore are passed over. Raises InputError.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return [(path, path.name)]
    if path.is_dir():
        root, found = path, sorted(p for p in path.rglob("*") if p.is_file())
    else:
        root = Path(*_fixed_parts(path))
        found = sorted(p for p in root.glob(str(path.relative_to(root))) if p.is_file())
    kept = [
        (p, p.relative_to(root).as_posix())
        for p in found
        if not any(part.startswith((".", "_")) for part in p.relative_to(root).parts)
    ]
    if not kept:
        there = "it is an empty folder" if path.is_dir() else "nothing is there"
        raise InputError(
            f"no input at {given} (setting CLM_INPUT): {there}. "
            f"Expected a file, a folder or a glob of {_formats()} files."
        )
    return kept


def fingerprint(path: Path, relative: str) -> InputFile:
    """Hash a file and look at its kind. Raises InputError for one that is empty or of no known kind."""
    kind = next((FORMATS[s] for s in _suffixes(path) if s in FORMATS), None)
    if kind is None:
        raise InputError(
            f"{path}: files ending in {path.suffix or 'nothing'} are not read; expected {_formats()}"
        )
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); expected {kind} with at least a header")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return InputFile(path, relative, kind, size, digest.hexdigest()[:16])


def columns_of(connection: Connection, file: InputFile, adapter: Adapter) -> tuple[str, ...]:
    """Names of a file's columns. Raises InputError for a file that is not what its name says."""
    _check_magic(file, adapter.csv["encoding"])
    try:
        if file.format == "json":
            keys = connection.execute(
                f"select distinct unnest(json_keys(json)) from read_ndjson_objects({_quoted(file.path)})"
            )
            return tuple(sorted(key for (key,) in keys))
        return tuple(connection.columns(f"select * from {_reader([file], adapter)}"))
    except duckdb.Error as error:
        raise explain(error, [file]) from error


def check_columns(file: InputFile, columns: Sequence[str], table: AdapterTable) -> None:
    """Raise InputError if a column that the adapter needs is not in the file."""
    missing = [name for name in table.required if name not in columns]
    if not missing:
        return
    lines = []
    for name in missing:
        folded = {c.casefold().replace(" ", "").replace("_", ""): c for c in columns}
        close = get_close_matches(name.casefold().replace(" ", "").replace("_", ""), folded, 1, 0.5)
        guess = f" (is it {folded[close[0]]!r}, renamed?)" if close else ""
        lines.append(f"{name!r} is missing{guess}")
    hint = ""
    if len(columns) == 1 and any(d in columns[0] for d in ";\t|"):
        hint = " The header is one column with another delimiter: set csv.delimiter in the adapter."
    raise InputError(
        f"{file.path}: {', '.join(lines)}. Expected the columns {', '.join(table.required)}; "
        f"found {', '.join(columns)}.{hint}"
    )


def rows_of(files: Sequence[InputFile], columns: Sequence[str], adapter: Adapter) -> str:
    """A query for all rows of files that have the same columns, every value as text.

    Adds `_file` (path as read) and `_source_row` (from 1; a CSV's header is not counted). Several
    files at once only for Parquet, whose reader numbers the rows of each.
    """
    if files[0].format == "json":
        values = ", ".join(f'json ->> \'$."{name}"\' as "{name}"' for name in columns)
        return (
            f"select {values}, {_quoted(files[0].path)} as _file, row_number() over () as _source_row "
            f"from read_ndjson_objects({_quoted(files[0].path)})"
        )
    values = ", ".join(f'cast("{name}" as varchar) as "{name}"' for name in columns)
    if files[0].format == "parquet":
        return (
            f"select {values}, filename as _file, file_row_number + 1 as _source_row "
            f"from {_reader(files, adapter, 'filename = true, file_row_number = true')}"
        )
    return (
        f"select {values}, {_quoted(files[0].path)} as _file, row_number() over () as _source_row "
        f"from {_reader(files, adapter)}"
    )


def explain(error: duckdb.Error, files: Sequence[InputFile]) -> InputError:
    """DuckDB's own error about a file, in words for the person who delivered it."""
    text = str(error)
    named = [file for file in files if str(file.path) in text]
    file = str(named[0].path if named else files[0].path)
    line = re.search(r"Line: (\d+)", text)
    at = f", line {line[1]}" if line else ""
    if "GZIP" in text or "gzip" in text:
        return InputError(
            f"{file} is a truncated or damaged gzip file: its stream ends early. "
            "Expected a whole .gz file; copy it again."
        )
    if "unicode" in text.lower() or "utf-8" in text.lower() or "encoding" in text.lower():
        return InputError(
            f"{file}{at}: found bytes that are not UTF-8, expected one encoding throughout. Save it as "
            "UTF-8, or set csv.encoding in the adapter (latin-1, for one) if all of it has another."
        )
    number = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if number:
        original = re.search(r"Original Line: ?(.*)", text)
        return InputError(
            f"{file}{at}: expected {number[1]} columns, found {number[2]}"
            + (f" in {original[1][:120]!r}" if original else "")
            + ". Is the file cut off, or a quote missing?"
        )
    first = text.splitlines()[0] if text else type(error).__name__
    return InputError(f"{file}{at} cannot be read: {first}")


def _reader(files: Sequence[InputFile], adapter: Adapter, extra: str = "") -> str:
    paths = "[" + ", ".join(_quoted(file.path) for file in files) + "]"
    if files[0].format == "parquet":
        return f"read_parquet({paths}{', ' + extra if extra else ''}, hive_partitioning = false)"
    return (
        f"read_csv({paths}, header = true, all_varchar = true, auto_detect = true, "
        f"delim = {_quoted(adapter.csv['delimiter'])}, quote = {_quoted(adapter.csv['quote'])}, "
        f"escape = {_quoted(adapter.csv['quote'])}, encoding = {_quoted(adapter.csv['encoding'])}, "
        "hive_partitioning = false)"
    )


def _check_magic(file: InputFile, encoding: str) -> None:
    """Refuse a file whose first bytes are of another kind than its name says."""
    with file.path.open("rb") as opened:
        head = opened.read(4096)
    found = next((what for magic, what in _MAGIC.items() if head.startswith(magic)), None)
    if file.path.suffix == ".gz":
        if found != "gzip":
            raise InputError(f"{file.path}: expected gzip, found {found or 'plain text or other bytes'}")
    elif file.format == "parquet":
        if found != "Parquet":
            raise InputError(f"{file.path}: expected Parquet, found {found or 'something else'}")
    elif found or (b"\0" in head and not encoding.lower().startswith("utf-16")):
        raise InputError(
            f"{file.path}: expected {'a CSV' if file.format == 'csv' else 'JSON lines'}, "
            f"found {found or 'binary data'}"
        )


def _suffixes(path: Path) -> list[str]:
    parts = [s.lower() for s in path.suffixes]
    return ["".join(parts[-2:]), parts[-1]] if parts else []


def _fixed_parts(path: Path) -> list[str]:
    fixed = []
    for part in path.parts[:-1]:
        if any(c in part for c in "*?["):
            break
        fixed.append(part)
    return fixed or ["."]


def _formats() -> str:
    return ", ".join(FORMATS)


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
