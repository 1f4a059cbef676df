"""Input files as queries for rows of text.

Belongs here: making a file readable by DuckDB, its column names, and clear errors for all invalid files. Does not:
finding files (`files`), how files are written (`formats`), the meaning of columns (`adapter`), writing rows
(`landing`).
"""

import codecs
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile, check_head
from clm_dagster.domains.ingest.formats import archives, delimited, json_files, workbooks
from clm_dagster.domains.ingest.formats.dialects import Dialect, find_dialect
from clm_dagster.domains.ingest.formats.encodings import Found, find_encoding, to_utf8
from clm_dagster.domains.ingest.formats.json_files import JsonShape
from clm_dagster.domains.ingest.formats.streams import compression_option, open_bytes
from clm_dagster.domains.ingest.naming import check_names
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

# Enough for the header and a hundred rows.
_HEAD = 1 << 18
PLAIN = Dialect(",", '"', 0, 1)


@dataclass(frozen=True)
class Readable:
    """A file that DuckDB can read.

    path: the file itself or a rewritten copy. columns: names in the file. decided: what was found, for people. rows:
    their number where it was counted, which reading has to confirm. source: content before it was rewritten. alone: the
    file by itself, where `path` holds the rows of several files (`combining`).
    """

    file: InputFile
    kind: str
    path: Path
    columns: tuple[str, ...]
    decided: dict[str, str] = field(default_factory=dict)
    rows: int | None = None
    dialect: Dialect = PLAIN
    json: JsonShape | None = None
    source: Path | None = None
    codec: str = "utf-8"
    alone: "Readable | None" = None

    @property
    def key(self) -> str:
        """What the rows of the file have in the column `_file`."""
        return self.file.delivery_id if self.alone else str(self.path)


def open_file(
    connection: Connection,
    file: InputFile,
    known: Collection[str],
    settings: Mapping[str, str],
    scratch: Path,
) -> Readable:
    """Return a file as DuckDB can read it. Raise InputError if its content does not match its extension.

    known: names that columns may have. settings: the adapter's csv settings. scratch: folder for copies.
    """
    local = file.path
    if file.archive:
        local = scratch / f"{file.delivery_id}-{file.path.name}"
        scratch.mkdir(parents=True, exist_ok=True)
        archives.unpack(file.archive, file.path.relative_to(file.archive).as_posix(), local)
    check_head(file, local)
    try:
        if file.format == "csv":
            readable = _delimited(file, local, known, settings, scratch)
        elif file.format == "json":
            readable = _json(connection, file, local, scratch)
        elif file.format == "workbook":
            readable = _workbook(file, local, known, scratch)
        else:
            readable = _parquet(connection, file, local)
    except duckdb.Error as error:
        raise _explained(error, file) from error
    check_names(file.path, readable.columns)
    return readable


def rewritten(readable: Readable, scratch: Path) -> Readable:
    """Return a delimited file as a copy that has one row per line of plain CSV, written by Python's csv module."""
    file, source = readable.file, readable.source or readable.path
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / f"{file.delivery_id}.csv"
    dialect, rows = delimited.rewrite(
        source, file.path, readable.codec, readable.dialect, readable.columns, target
    )
    decided = readable.decided | ({"escape": "backslash"} if dialect.escape else {})
    return replace(readable, path=target, dialect=PLAIN, rows=rows, source=source, decided=decided)


def is_rewritten(readable: Readable) -> bool:
    """Whether a file is read from a copy, so that rewriting cannot help."""
    return readable.source is not None or readable.kind != "csv"


def select_rows(readables: Sequence[Readable]) -> str:
    """Return a query for all rows of files with the same columns, every value as text. Empty text becomes null.

    The query adds `_file` (see `Readable.key`) and `_source_row` (from 1, without a header). Only Parquet files, and
    files that were combined, can be read together, because only their rows have numbers.
    """
    first = readables[0]
    names = [quoting.name(name) for name in first.columns]
    if first.kind == "parquet":
        values = ", ".join(f"nullif(cast({name} as varchar), '') as {name}" for name in names)
        return f"select {values}, _file, file_row_number + 1 as _source_row from {_reader(readables)}"
    if first.alone:
        listed = ", ".join(quoting.text(each.key) for each in readables)
        return (
            f"select {', '.join(names)}, _file, cast(_source_row as bigint) as _source_row from {_reader(readables)} "
            f"where _file in ({listed})"
        )
    if first.json:
        paths = first.json.columns.values()
        values = ", ".join(f"{json_files.value(p)} as {n}" for p, n in zip(paths, names, strict=True))
    else:
        values = ", ".join(names)
    return (
        f"select {values}, {quoting.text(first.path)} as _file, row_number() over () as _source_row "
        f"from {_reader(readables)}"
    )


def explain(error: duckdb.Error, readables: Sequence[Readable]) -> InputError:
    """Translate DuckDB's error about a file to an error for the user."""
    text = str(error)
    named = [each.file for each in readables if str(each.path) in text]
    return _explained(error, named[0] if named else readables[0].file, bool(named))


def _explained(error: duckdb.Error, file: InputFile, named: bool = True) -> InputError:
    first = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return InputError(f"{file.path} {'cannot be read' if named else 'could not be landed'}: {first}")


def _delimited(
    file: InputFile, local: Path, known: Collection[str], settings: Mapping[str, str], scratch: Path
) -> Readable:
    encoding = find_encoding(local, file.path, settings.get("encoding"))
    head = _head(local, file, encoding)
    dialect = find_dialect(head, known, settings.get("delimiter"), settings.get("quote"))
    named = next(delimited.records(local, file.path, encoding.codec, dialect), ([], 1))
    header, line = named
    if not any(name.strip() for name in header):
        raise InputError(f"{file.path}: expected a header of column names, found none")
    columns = tuple(" ".join(name.split()) or f"column{n}" for n, name in enumerate(header, 1))
    decided = {"encoding": encoding.name, "delimiter": dialect.shown, "header_line": str(line)}
    if encoding.notes:
        decided["encoding_note"] = "; ".join(encoding.notes)
    readable = Readable(
        file, "csv", local, columns, decided, dialect=replace(dialect, line=line), codec=encoding.codec
    )
    simple = encoding.is_utf8 and dialect.header == 0 and len(header) > 1 and not _breaks(header)
    if simple and dialect.delimiter.isascii() and dialect.quote.isascii():
        scan = delimited.scan(local, file.path, dialect.quote)
        if scan.is_plain:
            return replace(readable, rows=scan.records - 1)
    return rewritten(readable, scratch)


def _breaks(header: Sequence[str]) -> bool:
    return any("\n" in name or "\r" in name for name in header)


def _head(local: Path, file: InputFile, encoding: Found) -> str:
    """Return the first part of a file as text, up to a line end."""
    with open_bytes(local, file.path) as stream:
        content = stream.read(_HEAD)
        whole = not stream.read(1)
    text = codecs.getincrementaldecoder(encoding.codec)("strict").decode(content)
    return text if whole else text[: text.rfind("\n") + 1] or text


def _json(connection: Connection, file: InputFile, local: Path, scratch: Path) -> Readable:
    encoding = find_encoding(local, file.path, None)
    source = local
    if encoding.codec != "utf-8":
        scratch.mkdir(parents=True, exist_ok=True)
        source = scratch / f"{file.delivery_id}.jsonl"
        to_utf8(local, file.path, encoding.codec, source)
    array = json_files.is_array(source, file.path)
    relation = json_files.reader(source, array)
    try:
        shape = json_files.shape(connection, relation, file.path, array)
    except duckdb.Error as error:
        scratch.mkdir(parents=True, exist_ok=True)
        target = scratch / f"{file.delivery_id}-rows.jsonl"
        if array or not json_files.unwrap(source, file.path, target):
            raise json_files.broken(source, file.path, array) from error
        source, array = target, False
        shape = json_files.shape(connection, json_files.reader(source, False), file.path, False)
    decided = {"encoding": encoding.name, "json": "array" if array else "lines"}
    return Readable(file, "json", source, tuple(shape.columns), decided, json=shape, source=source)


def _workbook(file: InputFile, local: Path, known: Collection[str], scratch: Path) -> Readable:
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / f"{file.delivery_id}.csv"
    sheet = workbooks.write_sheet(local, file.path, known, target)
    header, _ = next(delimited.records(target, file.path, "utf-8", PLAIN))
    columns = tuple(" ".join(name.split()) or f"column{n}" for n, name in enumerate(header, 1))
    decided = {"sheet": sheet.name, "header_line": str(sheet.header_row)}
    if sheet.others:
        decided["sheets_not_read"] = ", ".join(sheet.others)
    readable = Readable(file, "csv", target, columns, decided, sheet.rows, source=target)
    return rewritten(replace(readable, source=target), scratch / "sheets") if _breaks(header) else readable


def _parquet(connection: Connection, file: InputFile, local: Path) -> Readable:
    # A query on the file renames the second of two equal columns, so the names are those of the schema.
    rows = connection.execute(f"select name, num_children from parquet_schema({quoting.path(local)})")
    columns, skip = [], 0
    for name, children in rows[1:]:
        if not skip:
            columns.append(name)
        skip = max(0, skip - 1) + (children or 0)
    return Readable(file, "parquet", local, tuple(columns), source=local)


def _reader(readables: Sequence[Readable]) -> str:
    first = readables[0]
    paths = quoting.paths(dict.fromkeys(each.path for each in readables))
    if first.kind == "parquet":
        return f"read_parquet({paths}, hive_partitioning = false, filename = '_file', file_row_number = true)"
    if first.json:
        return json_files.reader(first.path, first.json.array)
    columns = (*first.columns, "_file", "_source_row") if first.alone else first.columns
    typed = ", ".join(f"{quoting.text(name)}: 'varchar'" for name in columns)
    quote = quoting.text(first.dialect.quote)
    return (
        f"read_csv({paths}, auto_detect = false, header = true, columns = {{{typed}}}, "
        f"delim = {quoting.text(first.dialect.delimiter)}, quote = {quote}, escape = {quote}, "
        f"hive_partitioning = false{compression_option(first.path)})"
    )
