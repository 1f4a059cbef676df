"""Comparing two Parquet files row by row, as multisets.

Belongs here: columns, types, rows, nulls, doubles, examples without personal data. Does not: where the files come from
(`verifying`), output.

The rule: names, order and types of columns are equal, and each row occurs as often here as there. Texts, decimals,
instants and nulls are equal exactly. A double may differ by a relative 1e-12 (`TOLERANCE`), a few thousand units of its
last place, because a sum of doubles depends on the order of rows; such rows are counted and named, never taken as equal
without a word. In DuckDB, 0.0 and -0.0 are one value, and so is NaN.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

TOLERANCE = 1e-12
EQUAL, CLOSE, DIFFERENT = "equal", "close", "different"
_DOUBLES = ("DOUBLE", "FLOAT")
# Types of values that say nothing about a person by themselves. A text may.
_SHOWN_TYPES = ("BOOLEAN", "DATE", "TIMESTAMP", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "FLOAT")
_MOST_EXAMPLES, _MOST_VALUES = 3, 6


@dataclass(frozen=True)
class Comparison:
    """How the rows of one file differ from those of the reference.

    rows, other_rows: their number in the reference and in the other file. columns: what differs in names, order and
    types, as sentences. missing, added: number of rows that only the reference, and only the other one has. close: rows
    that are equal but for doubles within the tolerance; gap: the largest relative difference of these. differing:
    columns whose values differ. nulls: by column, how many there are in the reference and in the other. examples: rows
    that only one of them has, without personal data.
    """

    rows: int
    other_rows: int
    columns: tuple[str, ...] = ()
    missing: int = 0
    added: int = 0
    close: int = 0
    gap: float = 0.0
    differing: tuple[str, ...] = ()
    nulls: dict[str, tuple[int, int]] = field(default_factory=dict)
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def verdict(self) -> str:
        """`equal`, `close` (but for doubles within the tolerance) or `different`."""
        if self.columns or self.missing or self.added:
            return DIFFERENT
        return CLOSE if self.close else EQUAL


def compare(
    connection: Connection,
    reference: Path,
    other: Path,
    shown: Collection[str] = (),
    hidden: Collection[str] = (),
    where: str = "",
    ordered: bool = True,
) -> Comparison:
    """Compare a file with the reference.

    shown, hidden: columns whose values examples may have although they are texts, and must not have. where: which rows
    of the reference are meant. ordered: whether the order of columns matters.
    """
    ours = f"(select * from read_parquet({quoting.path(reference)}){f' where {where}' if where else ''})"
    theirs = f"read_parquet({quoting.path(other)})"
    types, other_types = (_types(connection, rows) for rows in (ours, theirs))
    columns = _columns_differ(types, other_types, ordered)
    common = [name for name, kind in types.items() if other_types.get(name) == kind]
    rows, other_rows = (int(connection.scalar(f"select count(*) from {each}")) for each in (ours, theirs))
    found = Comparison(rows, other_rows, columns)
    if not common:
        return found
    _collect(connection, ours, theirs, common)
    if not connection.scalar("select count(*) from residual"):
        return found
    doubles = [name for name in common if types[name] in _DOUBLES]
    close, gap = _set_close_apart(connection, common, doubles)
    missing, added = (
        int(connection.scalar(f"select count(*) from residual where here = {side}"))
        for side in ("true", "false")
    )
    differing = _differing(connection, common) if missing and added else ()
    allowed = [name for name in common if _may_be_shown(name, types[name], shown, hidden)]
    return replace(
        found,
        missing=missing,
        added=added,
        close=close,
        gap=gap,
        differing=differing,
        nulls=_nulls(connection, ours, theirs, common) if missing or added else {},
        examples=_examples(connection, common, differing, allowed),
    )


def _types(connection: Connection, rows: str) -> dict[str, str]:
    # JSON is a text with a promise; other engines have no such type.
    found = connection.columns(f"select * from {rows}")
    return {name: kind.replace("JSON", "VARCHAR") for name, kind in found.items()}


def _columns_differ(types: dict[str, str], other: dict[str, str], ordered: bool) -> tuple[str, ...]:
    """Return how columns differ, as sentences."""
    found = [f"{name} is missing" for name in types if name not in other]
    found += [f"{name} is added" for name in other if name not in types]
    found += [
        f"{name} is {other[name]}, expected {kind}"
        for name, kind in types.items()
        if name in other and other[name] != kind
    ]
    if ordered and set(types) == set(other) and list(types) != list(other):
        found.append(f"the order of columns is {', '.join(other)}; expected {', '.join(types)}")
    return tuple(found)


def _collect(connection: Connection, ours: str, theirs: str, columns: Sequence[str]) -> None:
    """Make the table `residual`: the rows that one side has more often, as often as it has them more.

    here: whether it is the reference.
    """
    listed = _listed(columns)
    connection.execute(
        f"create or replace temporary table residual as select {listed}, surplus > 0 as here "
        f"from (select {listed}, sum(side) as surplus from ("
        f"select {listed}, 1 as side from {ours} union all select {listed}, -1 from {theirs}) "
        f"group by {listed} having sum(side) <> 0), range(cast(abs(surplus) as bigint))"
    )


def _set_close_apart(
    connection: Connection, columns: Sequence[str], doubles: Sequence[str]
) -> tuple[int, float]:
    """Remove the rows that have a partner on the other side with the same values but for close doubles.

    Return the number of pairs and the largest relative difference. Rows with the same other values are paired in the
    order of their doubles.
    """
    if not doubles:
        return 0, 0.0
    exact = [name for name in columns if name not in doubles]
    by = f"partition by {', '.join([*map(quoting.name, exact), 'here'])} order by {_listed(doubles)}"
    pair = f"partition by {', '.join([*map(quoting.name, exact), 'place'])}"
    gaps = [f"coalesce({_gap(quoting.name(name))}, 0)" for name in doubles]
    gap = f"greatest({', '.join([*gaps, '0'])})"
    connection.execute(
        f"create or replace temporary table paired as select * from (select *, {gap} as gap, "
        f"count(*) over pair as sides, {' and '.join(_are_close(quoting.name(name)) for name in doubles)} as is_close "
        f"from (select *, row_number() over ({by}) as place from residual) window pair as ({pair}))"
    )
    close, largest = connection.execute(
        "select count(*) // 2, coalesce(max(gap), 0) from paired where sides = 2 and is_close"
    )[0]
    connection.execute(
        f"create or replace temporary table residual as select {_listed(columns)}, here from paired "
        "where not (sides = 2 and is_close)"
    )
    return int(close), float(largest)


def _gap(column: str) -> str:
    """Return the relative difference of the two values of a pair."""
    low, high = f"min({column}) over pair", f"max({column}) over pair"
    return f"({high} - {low}) / nullif(greatest(abs({high}), abs({low})), 0)"


def _are_close(column: str) -> str:
    """Return whether the two values of a pair are equal, or close numbers, or both null."""
    low, high = f"min({column}) over pair", f"max({column}) over pair"
    return (
        f"(count({column}) over pair in (0, 2) and ({low} is not distinct from {high} "
        f"or {high} - {low} <= {TOLERANCE!r} * greatest(abs({high}), abs({low}))))"
    )


def _differing(connection: Connection, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns whose values, each taken alone, differ in the rows that differ."""
    return tuple(
        name
        for name in columns
        if connection.scalar(
            f"select count(*) from (select 1 from residual group by {quoting.name(name)} "
            "having sum(case when here then 1 else -1 end) <> 0)"
        )
    )


def _nulls(
    connection: Connection, ours: str, theirs: str, columns: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Return the columns with another number of nulls, with both numbers."""
    counted = ", ".join(f"count(*) - count({quoting.name(name)})" for name in columns)
    here, there = (connection.execute(f"select {counted} from {rows}")[0] for rows in (ours, theirs))
    return {name: (a, b) for name, a, b in zip(columns, here, there, strict=True) if a != b}


def _may_be_shown(name: str, kind: str, shown: Collection[str], hidden: Collection[str]) -> bool:
    """Whether the values of a column may be printed."""
    if name in hidden or name.endswith(("_id", "_ids", "_hash", "_key", "email", "phone")):
        return False
    return (kind.startswith((*_SHOWN_TYPES, "DECIMAL")) and not kind.endswith("[]")) or name in shown


def _examples(
    connection: Connection, columns: Sequence[str], differing: Sequence[str], allowed: Sequence[str]
) -> tuple[dict[str, Any], ...]:
    """Return a few rows that only one side has. Rows that may belong together have the same number on both sides."""
    same = [name for name in columns if name not in differing]
    wanted = [name for name in differing if name in allowed] or list(allowed)
    context = [name for name in same if name in allowed and name.endswith(("as_of", "_date", "_at"))][:1]
    picked = list(dict.fromkeys([*context, *wanted]))[:_MOST_VALUES]
    values = "".join(f", {quoting.name(name)}" for name in picked)
    order = _listed([*same, *differing])
    rows = connection.execute(
        f"select number, here{values} from (select *, row_number() over (partition by here order by {order}) as number "
        f"from residual) where number <= {_MOST_EXAMPLES} order by number, here desc"
    )
    return tuple(
        {"row": number, "only_in_reference": here, **dict(zip(picked, rest, strict=True))}
        for number, here, *rest in rows
    )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(quoting.name, columns))
