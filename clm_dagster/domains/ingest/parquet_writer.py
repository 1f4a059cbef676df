"""Writing input files to the landing area: parts of day-partitioned Parquet.

Belongs here: writing rows by day, counting them, refusing a file with wrong types. Does not: manifests (`landing`),
reading files (`reading`), deciding how dates and numbers are written (`column_formats`).

A part holds the rows of one file, or of several Parquet files with the same columns. The text lands unchanged. A part
is first written as if all dates were ISO and all numbers plain; only if some are not, the styles of its columns are
decided over all rows, and the part is written again, since the days of its rows may differ.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.column_formats import INSTANT, Styles, decide
from clm_dagster.domains.ingest.combining import batches, combine, is_small
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile
from clm_dagster.domains.ingest.masking import form_of
from clm_dagster.domains.ingest.naming import Naming, check_required, match_names
from clm_dagster.domains.ingest.reading import (
    Readable,
    explain,
    is_rewritten,
    open_file,
    rewritten,
    select_rows,
)
from clm_dagster.domains.ingest.values import CALENDAR, instant, number_text
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

# All rows of a part at once, for feeds that see whole files: hundreds of small files take seconds to read.
WHOLE_FILE = "whole_file"
UNDATED = "__HIVE_DEFAULT_PARTITION__"
# A file is refused if more than the first share of the values of a column have the wrong type, in more than the second
# share of the rows. The second condition ignores columns that are mostly empty.
_WRONG_VALUES, _WRONG_ROWS = 0.5, 0.1
_TYPES = {"instant": "TIMESTAMP", "number": "DECIMAL", "whole": "BIGINT"}


@dataclass(frozen=True)
class Shape:
    """What landed files that are typed together have in common. styles: (column, style), see `values`."""

    columns: tuple[str, ...]
    styles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class LandedFeed:
    """Rows of one delivery for one feed.

    table: the contract table that it feeds. days: row count per day; "" for rows without a date. styles: column -> how
    its dates or numbers are written; the default is left out. renamed: landed name -> name in the file. resembling:
    unknown name -> the name that it may mean. notes: further remarks.
    """

    table: str
    part: str
    columns: list[str]
    landing_version: str
    days: dict[str, int]
    styles: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    resembling: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def shape(self) -> Shape:
        """The columns and styles of the rows."""
        return Shape(tuple(self.columns), tuple(sorted(self.styles.items())))


@dataclass(frozen=True)
class LandedFile:
    """The landed rows of one file by feed, and what was found about its format."""

    decided: dict[str, str]
    feeds: dict[str, LandedFeed] = field(default_factory=dict)


@dataclass(frozen=True)
class _Measure:
    """The values of a column in a file: given, not readable, an example of those, and how many look like 1.234."""

    given: int = 0
    bad: int = 0
    example: str | None = None
    thousands: int = 0


def _needs_styles(measures: Mapping[str, _Measure]) -> bool:
    """Whether a file has values that are not in the default style, or may be meant otherwise."""
    return any(m.bad or (m.given and m.thousands == m.given) for m in measures.values())


def day_folder(day: date | None) -> str:
    """Return the name of a day's folder in a part."""
    return day_name(str(day or ""))


def day_name(day: str) -> str:
    """Return the name of the folder of a day that is written as in `LandedFeed.days`."""
    return f"_event_date={day or UNDATED}"


def write_parts(
    folder: Path,
    prefix: str,
    files: Sequence[InputFile],
    feeds: Mapping[str, Collection[str]],
    adapter: Adapter,
) -> dict[str, LandedFile]:
    """Write files into new parts whose names start with `prefix`. Return the landed feeds of each delivery.

    Raise InputError for an invalid file. Parts written before the error do not count, because no manifest names them.
    """
    scratch = folder / ".tmp"
    raw = duckdb.connect()
    try:
        connection = Connection(raw)
        connection.execute("set partitioned_write_max_open_files = 4000")
        connection.execute("set memory_limit = '1GB'")
        connection.execute(f"set temp_directory = {quoting.text(scratch)}")
        # Timestamps with a time zone in Parquet become text, which must not depend on the machine's time zone.
        connection.execute("set timezone = 'UTC'")
        writer = _Writer(folder, scratch, connection, adapter)
        landed: dict[str, LandedFile] = {}
        for number, group in enumerate(writer.groups(files, feeds)):
            for readable in group:
                landed[readable.file.delivery_id] = LandedFile(readable.decided)
            for feed in sorted(feeds[group[0].file.delivery_id]):
                for delivery, found in writer.write(feed, f"{prefix}-{number:04d}", group).items():
                    landed[delivery].feeds[feed] = found
    finally:
        raw.close()
        shutil.rmtree(scratch, ignore_errors=True)
    for file in files:
        file.check_unchanged()
    return landed


@dataclass(frozen=True)
class _Writer:
    """Writes groups of files into the landing folder."""

    folder: Path
    scratch: Path
    connection: Connection
    adapter: Adapter

    def groups(
        self, files: Sequence[InputFile], feeds: Mapping[str, Collection[str]]
    ) -> Iterator[list[Readable]]:
        """Yield the files to read together: Parquet files with the same columns, all other files separately.

        All headers are checked before the first row is read.
        """
        groups: dict[object, list[Readable]] = {}
        small: dict[object, list[Readable]] = {}
        for file in files:
            names = sorted(feeds[file.delivery_id])
            known = dict.fromkeys(name for feed in names for name in self.adapter.reads(feed).known)
            readable = open_file(self.connection, file, known, self.adapter.csv, self.scratch)
            for feed in names:
                naming = self._naming(readable, feed)
                check_required(file.path, tuple(naming.columns), self.adapter.feeds[feed].required)
            key: object = file.delivery_id
            if readable.kind == "parquet":
                path = quoting.path(readable.path)
                shape = self.connection.columns(
                    f"select * from read_parquet({path}, hive_partitioning = false)"
                )
                key = (tuple(names), tuple(shape.items()))
            if is_small(readable) and not any(self.adapter.feeds[feed].whole_files for feed in names):
                small.setdefault((tuple(names), readable.columns), []).append(readable)
            else:
                groups.setdefault(key, []).append(readable)
        yield from groups.values()
        for number, group in enumerate(batch for found in small.values() for batch in batches(found)):
            if len(group) == 1:
                yield group
            else:
                yield combine(group, self.scratch / f"combined-{number:04d}.csv")

    def write(self, feed: str, part: str, group: list[Readable]) -> dict[str, LandedFeed]:
        """Write the rows of some files as one part, and those whose columns are not in the default style as one each.

        A file that DuckDB does not read exactly is replaced in the group by a rewritten copy.
        """
        naming = self._naming(group[0], feed)
        counts, measures = self._write_exactly(feed, part, group, naming)
        styled = [r for r in group if _needs_styles(measures[r.file.delivery_id])]
        if styled and len(group) > 1:
            shutil.rmtree(self.folder / feed / part)
            written: dict[str, LandedFeed] = {}
            plain = [r for r in group if r not in styled]
            apart = [[r.alone or r] for r in styled] + ([plain] if plain else [])
            for number, some in enumerate(apart):
                written |= self.write(feed, f"{part}-{number:04d}", some)
            return written
        if styled:
            return self._write_styled(feed, part, group, naming, counts, measures)
        return self._landed(feed, part, group, naming, counts, Styles())

    def _write_styled(
        self,
        feed: str,
        part: str,
        group: Sequence[Readable],
        naming: Naming,
        counts: dict[str, dict[str, int]],
        measures: dict[str, dict[str, _Measure]],
    ) -> dict[str, LandedFeed]:
        """Decide the styles of one file's columns; write it again if any is not the default."""
        file = group[0].file
        relation = self._relation(feed, part)
        kinds = {n: k for n, k in self.adapter.reads(feed).kinds.items() if n in naming.columns}
        adapter = self.adapter
        styles = decide(
            self.connection, relation, kinds, adapter.zone, file.path, adapter.dates, adapter.numbers
        )
        if styles.columns:
            shutil.rmtree(self.folder / feed / part)
            counts, measures = self._copy(feed, part, group, naming, styles.columns)
        self._check_types(file, feed, measures[file.delivery_id], sum(counts[file.delivery_id].values()))
        return self._landed(feed, part, group, naming, counts, styles)

    def _write_exactly(
        self, feed: str, part: str, group: list[Readable], naming: Naming
    ) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, _Measure]]]:
        """Write a part; rewrite a delimited file that DuckDB refuses, or of which it finds another number of rows."""
        while True:
            try:
                counts, measures = self._copy(feed, part, group, naming, {})
            except duckdb.Error as error:
                if is_rewritten(group[0]):
                    raise explain(error, group) from error
            else:
                counted = [r.rows for r in group if r.rows is not None]
                expected = sum(counted) if len(counted) == len(group) else None
                found = sum(sum(days.values()) for days in counts.values())
                if expected is None or expected == found:
                    return counts, measures
                if is_rewritten(group[0]):
                    raise InputError(
                        f"{group[0].file.path}: {found:,} rows were read of {expected:,}; expected all of them. "
                        "Please report this with the first lines of the file."
                    )
            shutil.rmtree(self.folder / feed / part, ignore_errors=True)
            group[0] = rewritten(group[0], self.scratch)

    def _copy(
        self, feed: str, part: str, group: Sequence[Readable], naming: Naming, styles: Mapping[str, str]
    ) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, _Measure]]]:
        """Write one part's Parquet; count its rows by delivery and day, and its values by delivery and column."""
        time = self.adapter.time_sql(feed, styles)
        target = self.folder / feed / part
        # Timestamps outside the valid range count as undated.
        day = (
            f"case when ({time}) between {CALENDAR} then cast(({time}) as date) end" if time else "null::date"
        )
        listed = ", ".join(
            f"{quoting.name(given)} as {quoting.name(name)}" for name, given in naming.columns.items()
        )
        names = ", ".join(
            f"({quoting.text(r.key)}, {quoting.text(r.file.delivery_id)}, {quoting.text(r.file.relative)})"
            for r in group
        )
        # `time` may name columns that a file lacks.
        absent = [quoting.name(n) for n in self.adapter.feeds[feed].declared if n not in naming.columns]
        left_out = ", ".join(["_file", "_source_row", "_delivery_id", "_source_file", *absent])
        nulls = "".join(f", cast(null as varchar) as {name}" for name in absent)
        query = f"""
            with names(_file, _delivery_id, _source_file) as (values {names})
            select * exclude ({left_out}), _delivery_id, _source_file, _source_row,
                '{part}' as _part, {day} as _event_date
            from (select {listed}, _file, _source_row{nulls} from ({select_rows(group)})) as rows
            left join names using (_file)
        """
        target.mkdir(parents=True, exist_ok=True)
        if self.adapter.feeds[feed].whole_files:
            whole = quoting.text(target / WHOLE_FILE)
            self.connection.execute(f"copy ({query}) to {whole} (format parquet, compression snappy)")
            query = f"select * from read_parquet({whole})"
        self.connection.execute(
            f"copy ({query}) to {quoting.text(target)} (format parquet, partition_by (_event_date), "
            "write_partition_columns true, overwrite_or_ignore, compression snappy)"
        )
        if not any(target.rglob("*.parquet")):
            return {r.file.delivery_id: {} for r in group}, {r.file.delivery_id: {} for r in group}
        return self._count(feed, part, group, naming, styles)

    def _count(
        self, feed: str, part: str, group: Sequence[Readable], naming: Naming, styles: Mapping[str, str]
    ) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, _Measure]]]:
        kinds = {n: k for n, k in self.adapter.reads(feed).kinds.items() if n in naming.columns}
        measured = ""
        for name, kind in kinds.items():
            given = f"nullif(trim({quoting.name(name)}), '')"
            if kind == INSTANT:
                read = instant(name, self.adapter.zone, styles.get(name, ""))
                # Most values are seen to be ISO without the whole expression.
                iso = f"length({given}) in (10, 19) and {given}[5] = '-' and try_cast({given} as timestamp) is not null"
                bad, thousands = f"not ({iso}) and ({read}) is null", "0"
            else:
                # A number that is too large for its type is still a number; its row is rejected.
                bad = f"try_cast({number_text(name, styles.get(name, ''))} as double) is null"
                thousands = f"count(*) filter (where {given}[-4] = '.' and {given} is not null)"
            bad = f"{given} is not null and {bad}"
            wrong = f"filter (where {bad})"
            measured += f", count({given}), count(*) {wrong}, min({given}) {wrong}, {thousands}"
        rows = self.connection.execute(
            f"select _delivery_id, _event_date, count(*){measured} from {self._relation(feed, part)} "
            "group by all order by all"
        )
        counts: dict[str, dict[str, int]] = {r.file.delivery_id: {} for r in group}
        measures: dict[str, dict[str, _Measure]] = {r.file.delivery_id: {} for r in group}
        for delivery, day, count, *values in rows:
            counts[delivery][str(day or "")] = count
            for position, name in enumerate(kinds):
                given, bad, example, thousands = values[4 * position : 4 * position + 4]
                before = measures[delivery].get(name, _Measure())
                measures[delivery][name] = _Measure(
                    before.given + given,
                    before.bad + bad,
                    before.example or example,
                    before.thousands + thousands,
                )
        return counts, measures

    def _check_types(self, file: InputFile, feed: str, measures: Mapping[str, _Measure], rows: int) -> None:
        """Raise InputError if most values of a column cannot be read."""
        for name, found in measures.items():
            if found.bad > max(_WRONG_VALUES * found.given, _WRONG_ROWS * rows):
                spec, kinds = self.adapter.feeds[feed], self.adapter.reads(feed).kinds
                expected = spec.types.get(name) or spec.contract.columns.get(name) or _TYPES[kinds[name]]
                raise InputError(
                    f"{file.path}: expected {expected.upper()} in column {name!r}, but "
                    f"{found.bad:,} of {found.given:,} values have another type, of the form "
                    f"{form_of(found.example)}. Check that it is the right column."
                )

    def _landed(
        self,
        feed: str,
        part: str,
        group: Sequence[Readable],
        naming: Naming,
        counts: Mapping[str, dict[str, int]],
        styles: Styles,
    ) -> dict[str, LandedFeed]:
        version = self.adapter.landing_version(feed)
        return {
            r.file.delivery_id: LandedFeed(
                self.adapter.feeds[feed].contract.name,
                part,
                list(naming.columns),
                version,
                counts.get(r.file.delivery_id, {}),
                styles.columns,
                naming.renamed,
                naming.resembling,
                styles.notes,
            )
            for r in group
        }

    def _naming(self, readable: Readable, feed: str) -> Naming:
        return match_names(readable.file.path, readable.columns, self.adapter.reads(feed).known)

    def _relation(self, feed: str, part: str) -> str:
        whole = self.folder / feed / part / WHOLE_FILE
        written = [whole] if whole.exists() else sorted((self.folder / feed / part).rglob("*.parquet"))
        return f"read_parquet({quoting.paths(written)}, hive_partitioning = false)"
