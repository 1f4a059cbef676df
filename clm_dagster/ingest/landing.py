"""The landing area: a shop's files parsed once, as text, into day-partitioned Parquet.

Belongs here: what is on disk under `data/landing/<source>`. Does not: what a value means
(`loading`).

    events/event_date=2011-06-01/<part>_0.parquet   rows of one or more deliveries
    manifests/<delivery>.json                       written last, whole: makes a delivery exist
    first_load.json                                 the source's first history load

A part without a manifest is what a killed run left; it is never read, and the next run replaces it.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock

from clm_dagster.ingest.adapter import Adapter
from clm_dagster.ingest.errors import InputError
from clm_dagster.ingest.files import (
    InputFile,
    check_columns,
    columns_of,
    explain,
    find_paths,
    fingerprint,
    rows_of,
)
from clm_dagster.warehouse import Connection

UNDATED = "__HIVE_DEFAULT_PARTITION__"
# Rows of a file of which none is readable as its column's type make the file, not the rows, wrong.
_WRONG_TYPE_SHARE = 0.5


@dataclass(frozen=True)
class LandedTable:
    """What one delivery brought for one contract table. `days` counts rows; "" is undated."""

    part: str
    columns: list[str]
    landing_version: str
    days: dict[str, int]


@dataclass(frozen=True)
class Delivery:
    """One file, landed. `history` says that it came with the source's first load."""

    delivery_id: str
    path: str
    size: int
    landed_at: str
    history: bool
    tables: dict[str, LandedTable] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(sum(table.days.values()) for table in self.tables.values())


@dataclass(frozen=True)
class Landed:
    """What one landing run did."""

    new: list[Delivery]
    known: int
    ignored: list[str]


class Landing:
    """The landing area of one source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def deliveries(self) -> list[Delivery]:
        """Every delivery that is wholly landed, by id."""
        found = []
        for path in sorted((self.folder / "manifests").glob("*.json")):
            content = json.loads(path.read_text())
            tables = {name: LandedTable(**table) for name, table in content.pop("tables").items()}
            found.append(Delivery(**content, tables=tables))
        return found

    def parts(self, table: str, day: date | None, known: Iterable[str]) -> list[Path]:
        """Files that hold a day's rows of the given parts. Looks at that day's folder only."""
        folder = self.folder / table / f"event_date={day or UNDATED}"
        wanted = set(known)
        if not folder.is_dir():
            return []
        return sorted(p for p in folder.iterdir() if p.name.split("_")[0] in wanted)

    def land(self, given: str, adapter: Adapter, now: datetime) -> Landed:
        """Land every file of an input that is not landed yet; all of them or, on an error, none.

        `now` is the recorded start of the loading run, shop-local. Raises InputError.
        """
        with self._alone():
            known = {d.delivery_id: d for d in self.deliveries()}
            paths = find_paths(given)
            takes = {
                relative: [n for n, t in adapter.tables.items() if t.takes(relative)] for _, relative in paths
            }
            ignored = [relative for relative, tables in takes.items() if not tables]
            if len(ignored) == len(paths):
                patterns = "; ".join(f"{n}: {', '.join(t.patterns)}" for n, t in adapter.tables.items())
                raise InputError(
                    f"no file of {given} feeds a table of the source {adapter.name}: found "
                    f"{', '.join(ignored[:5])}{' ...' if len(ignored) > 5 else ''}; expected {patterns}"
                )
            files: dict[str, InputFile] = {}
            for path, relative in paths:
                if takes[relative]:
                    file = fingerprint(path, relative)
                    files.setdefault(file.delivery_id, file)
            fresh = [f for f in files.values() if not self._is_landed(f, takes, adapter, known)]
            if not fresh:
                return Landed([], len(files), ignored)
            first = self._first_load(now)
            history = first is not None
            landed_at = first or now
            new = self._write(fresh, takes, adapter, landed_at, history, known)
            if not any(d.rows for d in new) and not known:
                raise InputError(f"{given}: every file has a header and no rows; expected some")
            folder = self.folder / "manifests"
            for delivery in new:
                _write_json(folder / f"{delivery.delivery_id}.json", asdict(delivery))
            self._first_load_done(now)
            return Landed(new, len(files) - len(fresh), ignored)

    # ---------------------------------------------------------------- inside

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            yield

    def _is_landed(
        self, file: InputFile, takes: dict[str, list[str]], adapter: Adapter, known: dict[str, Delivery]
    ) -> bool:
        found = known.get(file.delivery_id)
        return found is not None and all(
            name in found.tables and found.tables[name].landing_version == adapter.landing_version(name)
            for name in takes[file.relative]
        )

    def _first_load(self, now: datetime) -> datetime | None:
        """Start of the first history load if that is what is going on, else None.

        A first load that was killed goes on as the first load.
        """
        path = self.folder / "first_load.json"
        if not path.exists():
            _write_json(path, {"started_at": str(now), "done": False})
            return now
        record = json.loads(path.read_text())
        return None if record["done"] else datetime.fromisoformat(record["started_at"])

    def _first_load_done(self, now: datetime) -> None:
        path = self.folder / "first_load.json"
        record = json.loads(path.read_text())
        if not record["done"]:
            _write_json(path, record | {"done": True})

    def _write(
        self,
        files: list[InputFile],
        takes: dict[str, list[str]],
        adapter: Adapter,
        landed_at: datetime,
        history: bool,
        known: dict[str, Delivery],
    ) -> list[Delivery]:
        """Write the parts of new files and return their manifests, not yet written."""
        tables: dict[str, dict[str, LandedTable]] = {f.delivery_id: {} for f in files}
        raw = duckdb.connect()
        try:
            connection = Connection(raw)
            connection.execute("set partitioned_write_max_open_files = 4000")
            connection.execute("set memory_limit = '1GB'")
            connection.execute(f"set temp_directory = '{self.folder / '.tmp'}'")
            for group, columns in self._groups(files, takes, adapter, connection):
                for table in takes[group[0].relative]:
                    part = _part(group)
                    counts = self._write_part(connection, table, part, group, columns, adapter)
                    for file in group:
                        tables[file.delivery_id][table] = LandedTable(
                            part, list(columns), adapter.landing_version(table),
                            counts.get(file.delivery_id, {}),
                        )  # fmt: skip
        finally:
            raw.close()
            shutil.rmtree(self.folder / ".tmp", ignore_errors=True)
        made = []
        for file in files:
            before = known.get(file.delivery_id)
            made.append(
                Delivery(
                    delivery_id=file.delivery_id,
                    path=str(file.path),
                    size=file.size,
                    landed_at=before.landed_at if before else str(landed_at),
                    history=before.history if before else history,
                    tables=tables[file.delivery_id],
                )
            )
        return made

    def _groups(
        self,
        files: list[InputFile],
        takes: dict[str, list[str]],
        adapter: Adapter,
        connection: Connection,
    ) -> Iterator[tuple[list[InputFile], tuple[str, ...]]]:
        """Files that are read together: Parquet of one shape, any other file on its own.

        All headers are looked at before the first row is read.
        """
        groups: dict[object, tuple[list[InputFile], tuple[str, ...]]] = {}
        for file in files:
            columns = columns_of(connection, file, adapter)
            for table in takes[file.relative]:
                check_columns(file, columns, adapter.tables[table])
            if file.format == "parquet":
                shape = tuple(connection.columns(f"select * from read_parquet('{file.path}')").items())
                key: object = (tuple(takes[file.relative]), shape)
            else:
                key = file.delivery_id
            groups.setdefault(key, ([], columns))[0].append(file)
        yield from groups.values()

    def _write_part(
        self,
        connection: Connection,
        table: str,
        part: str,
        group: Sequence[InputFile],
        columns: Sequence[str],
        adapter: Adapter,
    ) -> dict[str, dict[str, int]]:
        """Write one part's Parquet and count its rows by delivery and day."""
        spec = adapter.tables[table]
        folder = self.folder / table
        for stale in folder.glob(f"*/{part}_*.parquet"):
            stale.unlink()
        names = ", ".join(
            f"('{file.path}', '{file.delivery_id}', '{file.relative}')".replace("\\", "\\\\")
            for file in group
        )
        day = f"cast({spec.time} as date)" if spec.time else "null::date"
        listed = ", ".join(f'"{name}"' for name in columns)
        query = f"""
            with names(_file, _delivery_id, _source_file) as (values {names})
            select {listed}, _delivery_id, _source_file, _source_row, {day} as event_date
            from ({rows_of(group, columns, adapter)}) join names using (_file)
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            connection.execute(
                f"copy ({query}) to '{folder}' (format parquet, partition_by (event_date), "
                f"filename_pattern '{part}_{{i}}', overwrite_or_ignore, compression zstd)"
            )
        except duckdb.Error as error:
            raise explain(error, group) from error
        written = f"'{folder}/*/{part}_*.parquet'"
        if not any(folder.glob(f"*/{part}_*.parquet")):
            return {}
        self._check_types(connection, group, table, adapter, columns, written)
        rows = connection.execute(
            "select _delivery_id, event_date, count(*) from read_parquet("
            f"{written}, hive_partitioning = true, hive_types = {{'event_date': date}}) group by all order by all"
        )
        counts: dict[str, dict[str, int]] = {}
        for delivery, day_value, count in rows:
            counts.setdefault(delivery, {})[str(day_value or "")] = count
        return counts

    def _check_types(
        self,
        connection: Connection,
        group: Sequence[InputFile],
        table: str,
        adapter: Adapter,
        columns: Sequence[str],
        written: str,
    ) -> None:
        """Refuse a file in which most values of a column are not of its type at all."""
        types = {n: k for n, k in adapter.tables[table].types.items() if n in columns and k != "varchar"}
        if not types:
            return
        parts = []
        for name, kind in types.items():
            given = f"nullif(trim(\"{name}\"), '')"
            bad = f"{given} is not null and try_cast({given} as {kind}) is null"
            parts.append(f"count({given}), count(*) filter (where {bad}), min({given}) filter (where {bad})")
        rows = connection.execute(
            f"select _delivery_id, {', '.join(parts)} from read_parquet({written}) group by _delivery_id"
        )
        paths = {file.delivery_id: file.path for file in group}
        for delivery, *numbers in rows:
            for (name, kind), given, bad, example in zip(
                types.items(), numbers[0::3], numbers[1::3], numbers[2::3], strict=True
            ):
                if bad > _WRONG_TYPE_SHARE * given:
                    raise InputError(
                        f"{paths[delivery]}: column {name!r} is expected to be {kind.upper()}, and "
                        f"{bad:,} of {given:,} values are not, such as {example!r}. "
                        "Is it the right column, with the right decimal sign?"
                    )


def _part(group: Sequence[InputFile]) -> str:
    if len(group) == 1:
        return group[0].delivery_id
    joined = "".join(sorted(file.delivery_id for file in group))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(content, indent=1) + "\n")
    scratch.replace(path)
