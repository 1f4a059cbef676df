"""Writing parts: files of one shape as day-partitioned Parquet.

Belongs here: reading rows, writing them by day, counting them, refusing a file of wrong types. Does not:
what makes a part count (`landing`).
"""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from clm_dagster.domains.ingest.adapter import CALENDAR, Adapter
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile
from clm_dagster.domains.ingest.reading import check_columns, columns_of, explain, rows_of
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

UNDATED = "__HIVE_DEFAULT_PARTITION__"
# A column of which more values than the first share cannot be read as its type makes the file, not the rows,
# wrong, if they are in more rows than the second share: a column that is mostly empty proves little.
_WRONG_VALUES, _WRONG_ROWS = 0.5, 0.1

# What a delivery brought, by contract table: the fields of `landing.LandedTable`.
LandedTables = dict[str, dict[str, Any]]


def day_folder(day: date | None) -> str:
    """The name of a day's folder in a part."""
    return f"_event_date={day or UNDATED}"


def write(
    folder: Path,
    prefix: str,
    files: Sequence[InputFile],
    feeds: Mapping[str, Collection[str]],
    adapter: Adapter,
) -> dict[str, LandedTables]:
    """Write files into new parts whose names begin with `prefix`; what each delivery brought.

    Raise InputError; what is written then is no part of the landing area.
    """
    landed: dict[str, LandedTables] = {file.delivery_id: {} for file in files}
    scratch = folder / ".tmp"
    raw = duckdb.connect()
    try:
        connection = Connection(raw)
        connection.execute("set partitioned_write_max_open_files = 4000")
        connection.execute("set memory_limit = '1GB'")
        connection.execute(f"set temp_directory = {quoting.text(scratch)}")
        # A Parquet file's instants with a zone become text; it must not depend on the machine.
        connection.execute("set timezone = 'UTC'")
        for number, (group, columns) in enumerate(_groups(files, feeds, adapter, connection)):
            part = f"{prefix}-{number:04d}"
            for table in sorted(feeds[group[0].delivery_id]):
                counts = _write_part(connection, folder, table, part, group, columns, adapter)
                for file in group:
                    landed[file.delivery_id][table] = {
                        "part": part,
                        "columns": list(columns),
                        "landing_version": adapter.landing_version(table),
                        "days": counts.get(file.delivery_id, {}),
                    }
    finally:
        raw.close()
        shutil.rmtree(scratch, ignore_errors=True)
    for file in files:
        file.check_unchanged()
    return landed


def _groups(
    files: Sequence[InputFile],
    feeds: Mapping[str, Collection[str]],
    adapter: Adapter,
    connection: Connection,
) -> Iterator[tuple[list[InputFile], tuple[str, ...]]]:
    """Files that are read together: Parquet of one shape, any other file on its own.

    All headers are looked at before the first row is read.
    """
    groups: dict[object, tuple[list[InputFile], tuple[str, ...]]] = {}
    for file in files:
        columns = columns_of(connection, file, adapter)
        tables = sorted(feeds[file.delivery_id])
        for table in tables:
            check_columns(file, columns, adapter.tables[table])
        key: object = file.delivery_id
        if file.format == "parquet":
            shape = connection.columns(
                f"select * from read_parquet({quoting.path(file.path)}, hive_partitioning = false)"
            )
            key = (tuple(tables), tuple(shape.items()))
        groups.setdefault(key, ([], columns))[0].append(file)
    yield from groups.values()


def _write_part(
    connection: Connection,
    folder: Path,
    table: str,
    part: str,
    group: Sequence[InputFile],
    columns: Sequence[str],
    adapter: Adapter,
) -> dict[str, dict[str, int]]:
    """Write one part's Parquet and count its rows by delivery and day."""
    time = adapter.tables[table].time
    target = folder / table / part
    # An instant beyond the calendar is kept with the undated.
    day = f"case when ({time}) between {CALENDAR} then cast(({time}) as date) end" if time else "null::date"
    listed = ", ".join(quoting.name(column) for column in columns)
    names = ", ".join(
        f"({quoting.text(f.path)}, {quoting.text(f.delivery_id)}, {quoting.text(f.relative)})" for f in group
    )
    query = f"""
        with names(_file, _delivery_id, _source_file) as (values {names})
        select {listed}, _delivery_id, _source_file, _source_row, '{part}' as _part, {day} as _event_date
        from ({rows_of(group, columns, adapter)}) as rows left join names using (_file)
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        connection.execute(
            f"copy ({query}) to {quoting.text(target)} (format parquet, partition_by (_event_date), "
            "write_partition_columns true, overwrite_or_ignore, compression snappy)"
        )
    except duckdb.Error as error:
        raise explain(error, group) from error
    written = sorted(target.rglob("*.parquet"))
    if not written:
        return {}
    return _count(connection, quoting.paths(written), group, table, adapter, columns)


def _count(
    connection: Connection,
    written: str,
    group: Sequence[InputFile],
    table: str,
    adapter: Adapter,
    columns: Sequence[str],
) -> dict[str, dict[str, int]]:
    """Rows of each delivery and day. Refuses a file in which most values of a column are not of its type."""
    types = {n: k for n, k in adapter.tables[table].types.items() if n in columns and k != "varchar"}
    measures = ""
    for name, kind in types.items():
        given = f"nullif(trim({quoting.name(name)}), '')"
        bad = f"{given} is not null and try_cast({given} as {kind}) is null"
        measures += f", count({given}), count(*) filter (where {bad}), min({given}) filter (where {bad})"
    rows = connection.execute(
        f"select _delivery_id, _event_date, count(*){measures} "
        f"from read_parquet({written}, hive_partitioning = false) group by all order by all"
    )
    counts: dict[str, dict[str, int]] = {file.delivery_id: {} for file in group}
    for delivery, day, count, *_ in rows:
        counts[delivery][str(day or "")] = count
    for file in group:
        found = [row[3:] for row in rows if row[0] == file.delivery_id]
        rows_landed = sum(counts[file.delivery_id].values())
        for position, (name, kind) in enumerate(types.items()):
            given, bad = (sum(row[3 * position + n] for row in found) for n in (0, 1))
            if bad > max(_WRONG_VALUES * given, _WRONG_ROWS * rows_landed):
                example = next(row[3 * position + 2] for row in found if row[3 * position + 1])
                raise InputError(
                    f"{file.path}: column {name!r} is expected to be {kind.upper()}, and "
                    f"{bad:,} of {given:,} values are not, such as {example!r}. "
                    "Is it the right column, with the right decimal sign?"
                )
    return counts
