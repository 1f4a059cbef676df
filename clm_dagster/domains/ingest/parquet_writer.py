"""Writing input files to the landing area: parts of day-partitioned Parquet.

Belongs here: writing rows by day, counting them, refusing a file with wrong types. Does not: manifests (`landing`),
reading files (`reading`).

A part holds the rows of one CSV or JSON file, or of several Parquet files with the same columns.
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
from clm_dagster.domains.ingest.reading import check_columns, explain, read_columns, select_rows
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

UNDATED = "__HIVE_DEFAULT_PARTITION__"
# A file is refused if more than the first share of the values of a column have the wrong type, in more than the second
# share of the rows. The second condition ignores columns that are mostly empty.
_WRONG_VALUES, _WRONG_ROWS = 0.5, 0.1

# The rows of a delivery by feed, with the fields of `landing.LandedFeed`.
LandedFeeds = dict[str, dict[str, Any]]


def day_folder(day: date | None) -> str:
    """Return the name of a day's folder in a part."""
    return f"_event_date={day or UNDATED}"


def write_parts(
    folder: Path,
    prefix: str,
    files: Sequence[InputFile],
    feeds: Mapping[str, Collection[str]],
    adapter: Adapter,
) -> dict[str, LandedFeeds]:
    """Write files into new parts whose names start with `prefix`. Return the landed feeds of each delivery.

    Raise InputError for an invalid file. Parts written before the error do not count, because no manifest names them.
    """
    landed: dict[str, LandedFeeds] = {file.delivery_id: {} for file in files}
    scratch = folder / ".tmp"
    raw = duckdb.connect()
    try:
        connection = Connection(raw)
        connection.execute("set partitioned_write_max_open_files = 4000")
        connection.execute("set memory_limit = '1GB'")
        connection.execute(f"set temp_directory = {quoting.text(scratch)}")
        # Timestamps with a time zone in Parquet become text, which must not depend on the machine's time zone.
        connection.execute("set timezone = 'UTC'")
        for number, (group, columns) in enumerate(_groups(files, feeds, adapter, connection)):
            part = f"{prefix}-{number:04d}"
            for feed in sorted(feeds[group[0].delivery_id]):
                counts = _write_part(connection, folder, feed, part, group, columns, adapter)
                for file in group:
                    landed[file.delivery_id][feed] = {
                        "table": adapter.feeds[feed].contract.name,
                        "part": part,
                        "columns": list(columns),
                        "landing_version": adapter.landing_version(feed),
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
    """Yield the files to read together: Parquet files with the same columns, all other files separately.

    All headers are checked before the first row is read.
    """
    groups: dict[object, tuple[list[InputFile], tuple[str, ...]]] = {}
    for file in files:
        columns = read_columns(connection, file, adapter)
        names = sorted(feeds[file.delivery_id])
        for name in names:
            check_columns(file, columns, adapter.feeds[name])
        key: object = file.delivery_id
        if file.format == "parquet":
            shape = connection.columns(
                f"select * from read_parquet({quoting.path(file.path)}, hive_partitioning = false)"
            )
            key = (tuple(names), tuple(shape.items()))
        groups.setdefault(key, ([], columns))[0].append(file)
    yield from groups.values()


def _write_part(
    connection: Connection,
    folder: Path,
    feed: str,
    part: str,
    group: Sequence[InputFile],
    columns: Sequence[str],
    adapter: Adapter,
) -> dict[str, dict[str, int]]:
    """Write one part's Parquet and count its rows by delivery and day."""
    time = adapter.feeds[feed].time
    target = folder / feed / part
    # Timestamps outside the valid range count as undated.
    day = f"case when ({time}) between {CALENDAR} then cast(({time}) as date) end" if time else "null::date"
    listed = ", ".join(quoting.name(column) for column in columns)
    names = ", ".join(
        f"({quoting.text(f.path)}, {quoting.text(f.delivery_id)}, {quoting.text(f.relative)})" for f in group
    )
    query = f"""
        with names(_file, _delivery_id, _source_file) as (values {names})
        select {listed}, _delivery_id, _source_file, _source_row, '{part}' as _part, {day} as _event_date
        from ({select_rows(group, columns, adapter)}) as rows left join names using (_file)
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
    return _count(connection, quoting.paths(written), group, feed, adapter, columns)


def _count(
    connection: Connection,
    written: str,
    group: Sequence[InputFile],
    feed: str,
    adapter: Adapter,
    columns: Sequence[str],
) -> dict[str, dict[str, int]]:
    """Count the rows of each delivery and day. Raise InputError if most values of a column have the wrong type."""
    types = {n: k for n, k in adapter.feeds[feed].types.items() if n in columns and k != "varchar"}
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
                    f"{file.path}: expected {kind.upper()} in column {name!r}, but "
                    f"{bad:,} of {given:,} values have another type, such as {example!r}. "
                    "Check that it is the right column and uses the right decimal separator."
                )
    return counts
