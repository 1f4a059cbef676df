"""From what dlt pulled to a file in the inbox.

Belongs here: the folder that dlt writes to, leaving out what is delivered already, and the delivery. Does not: pulling
(`pulling`), files that are copied as they are (`copying`).

    <connector>/<table>/outbox/pulled/rows/*.parquet   what dlt loaded and is not delivered yet
    <connector>/<table>/outbox/pulled/_dlt_*            dlt's own records; the cursor is one of them
    <connector>/<table>/seen.parquet                   hashes of the rows of the last pull

dlt writes the cursor after the rows. A pull that is killed before that is pulled again from the old cursor, and its
rows are removed; one that is killed after it is delivered by the next one. So no row is lost, and a row that is
delivered twice is the same row, which loading counts as a duplicate.
"""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from clm_dagster.domains.connect.config import Explode, PulledTable
from clm_dagster.domains.connect.errors import ConnectorError
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

DATASET = "pulled"
_DLT_COLUMNS = ("_dlt_load_id", "_dlt_id")
# Columns of an exploded row: the array it comes from (`row` for the row itself), its place there, its JSON.
_WHOLE = "row"


@dataclass(frozen=True)
class Place:
    """The folder of a table below the data folder."""

    folder: Path

    @property
    def outbox(self) -> Path:
        """The folder that is dlt's destination."""
        return self.folder / "outbox"

    @property
    def pipelines(self) -> Path:
        """The folder of dlt's working files."""
        return self.folder / "pipeline"

    @property
    def seen(self) -> Path:
        """Hashes of the rows of the last pull."""
        return self.folder / "seen.parquet"

    @property
    def copied(self) -> Path:
        """What is known of copied files."""
        return self.folder / "copied.json"

    @property
    def scratch(self) -> Path:
        """The folder of unfinished files."""
        return self.folder / "scratch"

    def loaded(self) -> list[Path]:
        """Return the files of complete loads, oldest first."""
        complete = {
            path.stem.split("__", 1)[-1] for path in (self.outbox / DATASET / "_dlt_loads").glob("*.jsonl")
        }
        return [path for path in self._rows() if _load(path) in complete]

    def remove_incomplete(self) -> None:
        """Delete the files of loads that were killed before dlt wrote their cursor."""
        for path in set(self._rows()) - set(self.loaded()):
            path.unlink()

    def _rows(self) -> list[Path]:
        found = (self.outbox / DATASET / "rows").glob("*.parquet")
        return sorted(found, key=lambda path: (float(_load(path)), path.name))


def _load(path: Path) -> str:
    """Return the id of the load of a file: a number of seconds, as in `1795853276.6994476.53b78442ef.parquet`."""
    return path.name.rsplit(".", 2)[0]


@dataclass(frozen=True)
class Delivered:
    """What a pull brought. rows: of the source that are new or changed. file: None if there are none."""

    rows: int
    file: Path | None = None


def deliver(
    place: Place, table: PulledTable, key: Sequence[str], inbox: Path, now: datetime, memory_limit: str
) -> Delivered:
    """Write the loaded rows that are new or changed to one file in the inbox. now: start of the pull, in UTC.

    Raise ConnectorError for a key that the rows do not have.
    """
    files = place.loaded()
    if not files:
        return Delivered(0)
    shutil.rmtree(place.scratch, ignore_errors=True)
    place.scratch.mkdir(parents=True)
    written, seen = place.scratch / "rows.parquet", place.scratch / "seen.parquet"
    with _duckdb(place.scratch, memory_limit) as connection:
        columns = _read(connection, files, table, key)
        rows = _leave_out(connection, place, table, key)
        connection.execute(f"copy (select row_hash from hashed) to {quoting.path(seen)} (format parquet)")
        if rows:
            query = (
                _exploded(table.explode, columns)
                if table.explode
                else "select * exclude (row_number) from fresh"
            )
            connection.execute(
                f"copy ({query}) to {quoting.path(written)} (format parquet, compression zstd)"
            )
    file = None
    if rows:
        file = _free_name(inbox, f"{table.file}-{now:%Y%m%dT%H%M%SZ}")
        move(written, file)
    seen.replace(place.seen)
    for path in files:
        path.unlink()
    shutil.rmtree(place.scratch)
    return Delivered(rows, file)


def move(written: Path, target: Path) -> None:
    """Move a finished file into the inbox, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        written.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # On another disk: copied under a hidden name first, which landing does not read.
        hidden = target.with_name(f".{target.name}.part")
        shutil.copyfile(written, hidden)
        hidden.replace(target)
        written.unlink()


@contextmanager
def _duckdb(scratch: Path, memory_limit: str) -> Iterator[Connection]:
    raw = duckdb.connect(str(scratch / "deliver.duckdb"))
    try:
        connection = Connection(raw)
        connection.execute(f"set memory_limit = {quoting.text(memory_limit)}")
        connection.execute(f"set temp_directory = {quoting.text(scratch / 'spill')}")
        connection.execute("set timezone = 'UTC'")
        yield connection
    finally:
        raw.close()


def _read(connection: Connection, files: Sequence[Path], table: PulledTable, key: Sequence[str]) -> list[str]:
    """Create `hashed`: the last version of each row in these files, with a hash. Return its columns."""
    source = (
        f"read_parquet({quoting.paths(files)}, union_by_name = true, filename = '_pulled_file', "
        "file_row_number = true)"
    )
    dlt_own = {*_DLT_COLUMNS, "_pulled_file", "file_row_number"}
    columns = [name for name in connection.columns(f"select * from {source}") if name not in dlt_own]
    missing = [name for name in key if name not in columns]
    if missing:
        raise ConnectorError(
            f"{table.title}: the key {', '.join(missing)} is no column of its rows, which have {', '.join(columns)}"
        )
    # The hash of a row does not depend on the order of its columns, nor on columns without a value.
    hashes = [
        f"if({quoting.name(c)} is null, 0::ubigint, hash({quoting.text(c)}, cast({quoting.name(c)} as varchar)))"
        for c in columns
    ]
    order = {str(path): number for number, path in enumerate(files)}
    numbers = "map {" + ", ".join(f"{quoting.text(path)}: {n}" for path, n in order.items()) + "}"
    listed = ", ".join(quoting.name(name) for name in columns)
    connection.execute(
        f"create view numbered as select {listed}, {_xor(hashes)} as row_hash, "
        f"{numbers}[_pulled_file] * (1::hugeint << 40) + file_row_number as row_number from {source}"
    )
    if key and _has_versions(connection, key):
        last = f"qualify row_number() over (partition by {_list(key)} order by row_number desc) = 1"
        connection.execute(f"create table hashed as select * from numbered {last} order by row_number")
    else:
        connection.execute("create view hashed as select * from numbered")
    return columns


def _xor(hashes: Sequence[str]) -> str:
    found = hashes[0]
    for other in hashes[1:]:
        found = f"xor({found}, {other})"
    return found


def _list(columns: Sequence[str]) -> str:
    return ", ".join(quoting.name(column) for column in columns)


def _has_versions(connection: Connection, key: Sequence[str]) -> bool:
    """Whether a key is there twice: a row that changed while it was read, or two pulls that are delivered together."""
    return bool(connection.scalar(f"select count(*) <> count(distinct hash({_list(key)})) from numbered"))


def _leave_out(connection: Connection, place: Place, table: PulledTable, key: Sequence[str]) -> int:
    """Create `fresh`: the rows that the last pull did not have. Return their number.

    A full copy without a key is delivered whole if anything differs, because equal rows are counted.
    """
    known = f"read_parquet({quoting.path(place.seen)})"
    if not place.seen.exists():
        condition = "true"
    elif key:
        condition = f"row_hash not in (select row_hash from {known})"
    elif table.cursor:
        condition = "true"
    else:
        summed = "select count(*), sum(row_hash::hugeint) from"
        condition = str(
            connection.execute(f"{summed} hashed") != connection.execute(f"{summed} {known}")
        ).lower()
    connection.execute(f"create view fresh as select * exclude (row_hash) from hashed where {condition}")
    return int(connection.scalar("select count(*) from fresh"))


def _exploded(explode: Explode, columns: Sequence[str]) -> str:
    """Return a query for the rows and, as rows of their own, the elements of their arrays, which are JSON text."""
    arrays = [name for name in explode.arrays if name in columns]
    others = f"* exclude ({', '.join(['row_number', *map(quoting.name, arrays)])})"
    parts = [f"select {others}, '{_WHOLE}' as part, row_number, 0 as part_number from fresh"]
    for name in arrays:
        fields = "".join(
            f", json_extract_string(part_json, {quoting.text('$.' + field)}) as {quoting.name('part_' + field)}"
            for field in explode.columns
        )
        parts.append(
            f"select * exclude (elements){fields} from (select {others}, {quoting.text(name)} as part, row_number, "
            "generate_subscripts(elements, 1) as part_number, cast(unnest(elements) as varchar) as part_json, elements "
            f"from (select *, from_json({quoting.name(name)}, '[\"json\"]') as elements from fresh) as arrays)"
        )
    return (
        f"select * exclude (row_number) from ({' union all by name '.join(parts)}) "
        "order by row_number, part, part_number"
    )


def _free_name(inbox: Path, name: str) -> Path:
    """Return a path in the inbox that does not exist. Names sort by time, as landing orders files by name."""
    number, path = 1, inbox / f"{name}.parquet"
    while path.exists():
        number += 1
        path = inbox / f"{name}_{number:03d}.parquet"
    return path
