"""Writing files that are made of others before landing: a join of several files, or the items in one row as rows.

Belongs here: making these files. Does not: which ones an adapter has (`prepared`), landing them, which treats them as
any other file (`landing`).

The name of a prepared file on the disk has a hash of all that it was made of, so it is made again only if a file or
the SQL changes.
"""

import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from clm_dagster.domains.ingest.damage import is_whole
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile, Known, Place, fingerprint
from clm_dagster.domains.ingest.identifiers import identifier
from clm_dagster.domains.ingest.naming import check_required, match_names
from clm_dagster.domains.ingest.prepared import FOLDER, Part, Prepared
from clm_dagster.domains.ingest.reading import (
    Readable,
    explain,
    is_rewritten,
    open_file,
    rewritten,
    select_rows,
)
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project.sql_errors import sql_errors
from clm_dagster.platform.warehouse import Connection

_MACROS = {
    "file": lambda name: f"part_{name}",
    "identifier": lambda column: identifier(quoting.name(column)),
}
# Change this when files are prepared in another way, so that they are prepared again.
_VERSION = 1


@dataclass(frozen=True)
class Made:
    """A prepared file. place: where it is. sources: the files that it was made of."""

    place: Place
    sources: list[Place] = field(default_factory=list)


def prepare(
    prepared: Sequence[Prepared], places: Sequence[Place], csv: Mapping[str, str], known: Known, folder: Path
) -> list[Made]:
    """Make the prepared files of which the input has parts. folder: of the landing area. Raise InputError."""
    return [
        _prepare(each, found, csv, known, folder / FOLDER)
        for each in prepared
        if (found := [place for place in places if any(_is_of(part, place) for part in each.parts)])
    ]


def _is_of(part: Part, place: Place) -> bool:
    return part.matches(place.member) or part.matches(place.relative)


def _prepare(
    prepared: Prepared, places: Sequence[Place], csv: Mapping[str, str], known: Known, folder: Path
) -> Made:
    parts = {part: [p for p in places if _is_of(part, p)] for part in prepared.parts}
    for part, found in parts.items():
        if not found and not part.optional:
            names = ", ".join(place.relative for place in places[:3])
            raise InputError(
                f"{prepared.sql.parent / 'adapter.yml'}: {prepared.name} is made of several files, and the one with "
                f"{part.name} is missing: expected {', '.join(part.patterns)} beside {names}"
            )
    # In an order that does not depend on the names of folders; the same content counts once.
    files = {
        part: list({f.delivery_id: f for f in (fingerprint(place, known) for place in found)}.values())
        for part, found in parts.items()
    }
    target = folder / f"{prepared.name}-{_digest(prepared, files, csv)}.parquet"
    if not is_whole(target):
        _write(prepared, files, csv, target)
        for old in folder.glob(f"{prepared.name}-*.parquet"):
            if old != target:
                old.unlink()
    return Made(Place(target, prepared.relative), list(places))


def _digest(prepared: Prepared, files: Mapping[Part, Sequence[InputFile]], csv: Mapping[str, str]) -> str:
    content = [(part, [f.delivery_id for f in found]) for part, found in files.items()]
    return digest_of((prepared.sql.read_text(), content, sorted(csv.items())))


def digest_of(content: object) -> str:
    """Return a hash of all that a prepared file is made of."""
    version: tuple[object, ...] = (_VERSION, *content) if isinstance(content, tuple) else (_VERSION, content)
    return hashlib.sha256(repr(version).encode()).hexdigest()[:16]


def write_part(part: Part, files: Sequence[InputFile], csv: Mapping[str, str], target: Path) -> None:
    """Write the rows of files as text, with the columns of a part, to a Parquet file. Raise InputError."""
    columns = ", ".join(quoting.name(name) for name in part.columns)
    sql = f"select {columns} from part_{part.name}"
    _write_query(lambda: sql, target, {part: files}, csv, target)


def _write(
    prepared: Prepared, files: Mapping[Part, Sequence[InputFile]], csv: Mapping[str, str], target: Path
) -> None:
    def query() -> str:
        return prepared.renderer.render(prepared.sql, relation=lambda name: name, extra=_MACROS)

    _write_query(query, prepared.sql, files, csv, target)


def _write_query(
    query: Callable[[], str],
    where: Path,
    files: Mapping[Part, Sequence[InputFile]],
    csv: Mapping[str, str],
    target: Path,
) -> None:
    """Write the result of a query over parts. where: the place of the query, for messages."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    raw = duckdb.connect(str(scratch / "prepare.duckdb"))
    try:
        connection = Connection(raw)
        connection.execute("set memory_limit = '1GB'")
        connection.execute(f"set temp_directory = {quoting.text(scratch)}")
        connection.execute("set timezone = 'UTC'")
        for part, found in files.items():
            _load(connection, part, found, csv, scratch)
        sql = query()
        written = scratch / "written.parquet"
        with sql_errors(where, sql, kind=InputError):
            connection.execute(f"copy ({sql}) to {quoting.path(written)} (format parquet)")
        for file in (file for found in files.values() for file in found):
            file.check_unchanged()
        written.replace(target)
    finally:
        raw.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _load(
    connection: Connection, part: Part, files: Sequence[InputFile], csv: Mapping[str, str], scratch: Path
) -> None:
    """Create the table `part_<name>`: the rows of all its files as text, with _file and _source_row."""
    listed = ", ".join(f"{quoting.name(name)} varchar" for name in part.columns)
    connection.execute(f"create table part_{part.name} ({listed}, _file varchar, _source_row bigint)")
    for file in files:
        readable = open_file(connection, file, part.columns, csv, scratch)
        naming = match_names(file.path, readable.columns, part.columns)
        check_required(file.path, list(naming.columns), part.required)
        names = ", ".join(
            quoting.name(naming.columns[name]) if name in naming.columns else "null" for name in part.columns
        )
        while True:
            try:
                connection.execute(
                    f"insert into part_{part.name} select {names}, {quoting.text(file.delivery_id)}, _source_row "
                    f"from ({_rows(connection, readable)})"
                )
            except duckdb.Error as error:
                if is_rewritten(readable):
                    raise explain(error, [readable]) from error
                readable = rewritten(readable, scratch)
            else:
                break


def _rows(connection: Connection, readable: Readable) -> str:
    """Return a query for the rows of a file as text. Nested columns of Parquet are JSON, as those of JSON files are."""
    if readable.kind != "parquet":
        return select_rows([readable])
    described = connection.execute(f"describe select * from read_parquet({quoting.path(readable.path)})")
    nested = {
        name for name, kind, *_ in described if kind.endswith("]") or kind.startswith(("STRUCT", "MAP"))
    }
    values = ", ".join(
        f"cast({f'to_json({name})' if column in nested else name} as varchar) as {name}"
        for column, name in ((column, quoting.name(column)) for column in readable.columns)
    )
    return (
        f"select {values}, file_row_number + 1 as _source_row "
        f"from read_parquet({quoting.path(readable.path)}, hive_partitioning = false, file_row_number = true)"
    )


def sources_of(made: Collection[Made]) -> dict[str, str]:
    """Return the name of the prepared file that each file of the input went into, by relative path."""
    return {source.relative: each.place.relative for each in made for source in each.sources}
