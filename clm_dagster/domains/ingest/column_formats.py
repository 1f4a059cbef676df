"""The style of each column of a file: how its dates and numbers are written, decided by all of its values.

Belongs here: deciding, and refusing what has two readings. Does not: the SQL that reads a style (`values`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clm_dagster.domains.ingest import values
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

INSTANT, NUMBER, WHOLE = "instant", "number", "whole"
# A column is read as numbers, or by day and month, if at least this share of its values is written so.
_MOST = 0.5
# Values of the other order, in a column whose order is certain, are errors of single rows.
_FEW = 0.05
_SLASHED = r"^([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4}|[0-9]{2})([^0-9]|$)"
_NUMERIC = {
    values.EPOCH_S: r"^[0-9]{9,10}(\.[0-9]+)?$",
    values.EPOCH_MS: r"^[0-9]{12,13}(\.[0-9]+)?$",
    values.EPOCH_US: r"^[0-9]{15,16}$",
    values.EXCEL_SERIAL: r"^[1-9][0-9]{4}(\.[0-9]+)?$",
    values.COMPACT: r"^(19|20)[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])([0-9]{4}|[0-9]{6})?$",
}


@dataclass(frozen=True)
class Styles:
    """Decided styles: column -> style; columns in the default style are left out. notes: remarks for the user."""

    columns: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Dates:
    certain: str | None
    examples: tuple[str, ...]


def kind_of(sql_type: str) -> str | None:
    """Return how a column of a SQL type is read: instant, number, whole; None for text."""
    kind = sql_type.upper()
    if kind.startswith(("TIMESTAMP", "DATE")):
        return INSTANT
    if kind.startswith(("DECIMAL", "NUMERIC", "DOUBLE", "FLOAT", "REAL")):
        return NUMBER
    return WHOLE if kind.endswith("INT") or kind.startswith("INT") else None


def decide(
    connection: Connection,
    relation: str,
    kinds: Mapping[str, str],
    zone: str,
    shown: object,
    dates: str | None = None,
    numbers: str | None = None,
) -> Styles:
    """Return the styles of a file's columns. kinds: column -> instant, number or whole.

    dates, numbers: the adapter's settings, for columns that have two readings. Raise InputError for those without.
    """
    styles, notes = _numbers(connection, relation, kinds, shown, numbers)
    found = {
        name: _date_column(connection, relation, name, zone, shown, dates)
        for name, kind in kinds.items()
        if kind == INSTANT
    }
    certain = {date.certain for date in found.values()} & {values.DAY_FIRST, values.MONTH_FIRST}
    for name, date in found.items():
        style = date.certain
        if style is None:
            if len(certain) != 1:
                raise _two_readings(shown, name, date.examples)
            (style,) = certain
            notes.append(f"{name}: {style}, as the other dates of the file")
        if style:
            styles[name] = style
    return Styles(styles, notes)


def _date_column(
    connection: Connection, relation: str, name: str, zone: str, shown: object, setting: str | None
) -> _Dates:
    """Return the style of a column of dates; None where day and month can be exchanged."""
    text = f"trim({quoting.name(name)})"
    numeric = ", ".join(f"count(*) filter (regexp_matches({text}, '{p}'))" for p in _NUMERIC.values())
    first, second = (f"cast(regexp_extract({text}, '{_SLASHED}', {n}) as int)" for n in (1, 2))
    slashed = f"regexp_matches({text}, '{_SLASHED}')"
    given, unread, *counts = connection.execute(
        f"select count(nullif({text}, '')), "
        f"count(*) filter (nullif({text}, '') is not null and ({values.instant(name, zone)}) is null), {numeric} "
        f"from {relation}"
    )[0]
    if not unread:
        return _Dates(values.ISO, ())
    styles = dict(zip(_NUMERIC, counts, strict=True))
    style = max(styles, key=lambda s: (styles[s], s == values.COMPACT))
    if styles[style] >= _MOST * given:
        return _Dates(style, ())
    total, by_day, by_month, example_day, example_month, least, greatest = connection.execute(
        f"select count(*), count(*) filter (a > 12 and b <= 12), count(*) filter (b > 12 and a <= 12), "
        "min(v) filter (a > 12 and b <= 12), min(v) filter (b > 12 and a <= 12), min(v), max(v) "
        # Only the date: a message must not show what else the value holds.
        f"from (select regexp_extract({text}, '{_SLASHED}') as v, case when {slashed} then {first} end as a, "
        f"case when {slashed} then {second} end as b from {relation} where {slashed})"
    )[0]
    if setting and total:
        return _Dates(setting, ())
    if total < _MOST * given:
        # Mostly dates of another kind, which are read; these few rows are rejected.
        written = connection.scalar(
            f"select count(*) from {relation} where ({values.instant(name, zone)}) is null "
            f"and ({values.instant(name, zone, values.WRITTEN)}) is not null"
        )
        return _Dates(values.WRITTEN if written else values.ISO, ())
    decided = _order(by_day, by_month)
    if decided:
        return _Dates(decided, ())
    if by_day and by_month:
        raise InputError(
            f"{shown}: column {name!r} has dates with the day first, such as {example_day!r}, and with the month "
            f"first, such as {example_month!r}; expected one order in a file. Write them as 2025-01-31, or set "
            "`dates: day_first` or `dates: month_first` in adapter.yml; the other rows are then rejected."
        )
    return _Dates(None, (least, greatest))


def _order(by_day: int, by_month: int) -> str | None:
    """Return the order of day and month if it is certain. by_day, by_month: values that have only one reading."""
    if by_day > 0 and by_month <= _FEW * by_day:
        return values.DAY_FIRST
    if by_month > 0 and by_day <= _FEW * by_month:
        return values.MONTH_FIRST
    return None


def _two_readings(shown: object, name: str, examples: tuple[str, ...]) -> InputError:
    both = " and ".join(repr(example) for example in dict.fromkeys(examples))
    return InputError(
        f"{shown}: every date of column {name!r} can be read with the day first or with the month first, such as "
        f"{both}; expected one above 12 that decides. Set `dates: day_first` or `dates: month_first` in adapter.yml "
        "(`clm inspect FILE --write-adapter NAME` writes an adapter), or write dates as 2025-01-31."
    )


def _numbers(
    connection: Connection, relation: str, kinds: Mapping[str, str], shown: object, setting: str | None
) -> tuple[dict[str, str], list[str]]:
    styles: dict[str, str] = {}
    notes: list[str] = []
    open_points: list[str] = []
    open_commas: dict[str, str] = {}
    for name, kind in kinds.items():
        if kind == INSTANT:
            continue
        read = _number_counts(connection, relation, name)
        if not read.given:
            continue
        if read.plain == read.given:
            if read.thousands_by_point == read.given:
                open_points.append(name)
        elif read.point > read.comma or (read.point == read.comma and not read.differ):
            if read.point > read.plain:
                styles[name] = values.DECIMAL_POINT
        elif read.comma > read.point:
            if read.comma > read.plain:
                styles[name] = values.DECIMAL_COMMA
        elif read.example:
            open_commas[name] = read.example
        else:
            styles[name] = values.DECIMAL_POINT
            open_points.append(name)
    known = {setting} if setting else {styles[name] for name in styles if name not in open_points}
    style = next(iter(known)) if len(known) == 1 else None
    for name, example in open_commas.items():
        if style is None:
            raise InputError(
                f"{shown}: the numbers of column {name!r} can be read with a decimal comma or with a comma between "
                f"thousands, such as {example!r}. Set `numbers: decimal_comma` or `numbers: decimal_point` in "
                "adapter.yml, or write them with a decimal point."
            )
        styles[name] = style
        notes.append(f"{name}: {style}, as the other numbers of the file")
    for name in open_points:
        if style == values.DECIMAL_COMMA:
            styles[name] = style
            notes.append(
                f"{name}: points are between thousands, as the other numbers of the file have decimal commas"
            )
        else:
            notes.append(
                f"{name}: every number has three digits after its point; read as decimals, not as thousands"
            )
    return styles, notes


@dataclass(frozen=True)
class _Read:
    """How many values each style reads. differ: values that two styles read differently; example: one with a comma."""

    given: int
    plain: int
    point: int
    comma: int
    differ: int
    thousands_by_point: int
    example: str | None


def _number_counts(connection: Connection, relation: str, name: str) -> _Read:
    text = f"nullif(trim({quoting.name(name)}), '')"
    point, comma = (values.number_text(name, style) for style in values.NUMBER_STYLES)
    row = connection.execute(f"""
        with texts as (
            select {text} as v, try_cast({text} as double) as plain, try_cast({point} as double) as point,
                try_cast({comma} as double) as comma
            from {relation}
        )
        select count(v), count(plain), count(point), count(comma),
            count(*) filter (point is distinct from comma and point is not null and comma is not null),
            count(*) filter (regexp_matches(v, '^[+-]?[1-9][0-9]{{0,2}}([.][0-9]{{3}})+$')),
            min(v) filter (point <> comma and contains(v, ','))
        from texts
    """)[0]
    return _Read(*row)
