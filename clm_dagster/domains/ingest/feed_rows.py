"""Checks of what a feed's SQL returned, against the landed rows that it was given.

Belongs here: one row for each landed row, described reasons, the timestamp. Does not: the values of a row (the
contract), merging (`merging`).
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import Feed
from clm_dagster.domains.ingest.joins import SEED, Join, joins_of, view_of
from clm_dagster.domains.ingest.masking import form_of
from clm_dagster.domains.ingest.parquet_writer import Shape
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection


class Landed(Protocol):
    """The landed rows of a feed, see `merging.LandedDays`."""

    @property
    def feed(self) -> Feed:
        """The feed."""

    @property
    def by_shape(self) -> Mapping[Shape, Sequence[Path]]:
        """Its files, grouped by their columns and styles."""

    def rows(self, paths: Sequence[Path]) -> str:
        """Return SQL for the rows of some of the files."""


def check_one_for_one(connection: Connection, adapter: Adapter, landed: Landed) -> None:
    """Raise InputError, with file and row, if the feed's rows in `_typed` are not one for each landed row."""
    rows = " union all ".join(
        f"select _delivery_id, _source_file, _source_row, _event_date from {landed.rows(paths)}"
        for paths in landed.by_shape.values()
    )
    if not rows:
        return
    returned = (
        "select _delivery_id, _source_file, _source_row, _event_date from _typed "
        f"where _feed = '{landed.feed.name}'"
    )
    # Counting and hashing is much cheaper than a join, which only an error needs.
    summed = "count(*), coalesce(bit_xor(hash(_delivery_id, _source_row, _event_date)), 0)"
    given, found = (connection.execute(f"select {summed} from ({query})")[0] for query in (rows, returned))
    if given == found:
        return
    file, row, was_given, times = connection.execute(f"""
        select _source_file, _source_row, sum(given)::bigint, sum(returned)::bigint
        from (
            select *, 1 as given, 0 as returned from ({rows})
            union all
            select *, 0, 1 from ({returned})
        )
        group by _delivery_id, _source_file, _source_row, _event_date
        having sum(given) <> sum(returned) order by 3 desc, 1, 2 limit 1
    """)[0]
    if not was_given:
        what = f"{row} of {file} with another day, row number or file than it was given"
        advice = "Select {{ provenance() }} unchanged."
    elif times:
        what = f"row {row} of {file} {times} times"
        advice = _joined_often(connection, adapter, landed, file, row) or (
            "One row in must be one row out: use one feed for each kind of fact that a row holds."
        )
    else:
        what = f"no row for row {row} of {file}"
        advice = _not_joined(connection, adapter, landed, file, row) or (
            "Keep every row, and give a row that has nothing to say to this feed a skip_reason."
        )
    raise InputError(
        f"{landed.feed.path}: the feed {landed.feed.name} returned {found[0]:,} rows for {given[0]:,} landed rows: "
        f"it returned {what}. {advice}"
    )


def _joined_often(
    connection: Connection, adapter: Adapter, landed: Landed, file: str, row: int
) -> str | None:
    """Name a file or seed with several rows for the key of a landed row; None if that is not why it is repeated."""
    for join in joins_of(landed.feed):
        if not join.keys:
            continue
        keys = _names(join.keys)
        found = f"select {keys}, count(*)::bigint as times from {_relation(adapter, landed.feed, join)}"
        given = _key_of(connection, landed, join, file, row)
        where = f" where ({keys}) in (values ({given}))" if given else ""
        repeated = connection.execute(
            f"{found}{where} group by all having count(*) > 1 order by times desc, {keys} limit 1"
        )
        for *key, times in repeated:
            return (
                f"It joins {join.kind}('{join.name}') by {', '.join(join.keys)}, in which {_key(join, key)} is there "
                f"{times} times. A joined file or seed needs one row for each key."
            )
    return None


def _not_joined(connection: Connection, adapter: Adapter, landed: Landed, file: str, row: int) -> str | None:
    """Name a file or seed without a row for the key of a landed row; None if that is not why it is lost."""
    joined = list(joins_of(landed.feed))
    for join in joined:
        given = _key_of(connection, landed, join, file, row)
        if given is None:
            continue
        keys = _names(join.keys)
        relation = _relation(adapter, landed.feed, join)
        if not connection.scalar(f"select count(*) from {relation} where ({keys}) in (values ({given}))"):
            return (
                f"It joins {join.kind}('{join.name}') by {', '.join(join.keys)}, which has no row for its key. Use a "
                "left join, and give a row without a match a skip_reason or a reject_reason."
            )
    if not joined:
        return None
    names = " and ".join(f"{join.kind}('{join.name}')" for join in joined)
    return f"It joins {names}: use a left join, which keeps rows without a match."


def _key_of(connection: Connection, landed: Landed, join: Join, file: str, row: int) -> str | None:
    """Return the key of a landed row as SQL literals; None if its file has no such columns."""
    for shape, paths in landed.by_shape.items():
        if not join.landed or not set(join.landed) <= set(shape.columns):
            continue
        found = connection.execute(
            f"select {_names(join.landed)} from {landed.rows(paths)} "
            "where _source_file = ? and _source_row = ? limit 1",
            [file, row],
        )
        for key in found:
            return ", ".join("null" if value is None else quoting.text(value) for value in key)
    return None


def _relation(adapter: Adapter, feed: Feed, join: Join) -> str:
    return adapter.seed(feed, join.name) if join.kind == SEED else view_of(join.name)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(quoting.name(column) for column in columns)


def _key(join: Join, values: Sequence[object]) -> str:
    """Return a key for a message: that of a seed, which the user wrote, but only the form of a delivered one."""
    if join.kind != SEED:
        return "the key of the form " + " and ".join(map(form_of, values))
    return " and ".join(f"{name} {value!r}" for name, value in zip(join.keys, values, strict=True))


def check_reasons(connection: Connection, adapter: Adapter, feed: Feed) -> None:
    """Raise InputError if the feed's SQL uses a reject or skip reason that adapter.yml does not describe."""
    for column, word, key, described in (
        ("reject_reason", "reject", "rejects", feed.reasons),
        ("skip_reason", "skip", "skips", feed.skips),
    ):
        unknown = _undescribed(connection, feed, column, described)
        if unknown is not None:
            raise InputError(
                f"{adapter.path / 'adapter.yml'}: {feed.path.name} uses the {word} reason {unknown!r}, but `{key}` "
                f"does not describe it; described reasons: {', '.join(described) or 'none'}"
            )


def _undescribed(connection: Connection, feed: Feed, column: str, described: Collection[str]) -> str | None:
    found = connection.execute(f"select distinct {column} from _typed where _feed = '{feed.name}' order by 1")
    return next((reason for (reason,) in found if reason is not None and reason not in described), None)


def check_time(connection: Connection, adapter: Adapter, feed: Feed) -> None:
    """Raise InputError if the timestamp that the feed's SQL returns is on another day than its `time` says."""
    time = feed.contract.time
    if time is None:
        return
    moved = connection.execute(
        f"select _source_file, _source_row, _event_date, {time} from _typed where _feed = '{feed.name}' "
        "and reject_reason is null and skip_reason is null "
        f"and cast({time} as date) is distinct from _event_date limit 1"
    )
    for file, row, day, instant in moved:
        raise InputError(
            f"{adapter.path}: `time` in adapter.yml assigns row {row} of {file} to {day or 'no day'}, but "
            f"{feed.path.name} returns {time} {instant}; use {{{{ time() }}}} in the SQL"
        )
