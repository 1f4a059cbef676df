"""Texts, dates and instants: what the same words mean in DuckDB and in Spark.

Belongs here: rules for text, dates, timestamps, intervals, and casts. Does not: numbers (`numbers`).

Instants have no time zone, in both. The session's time zone is UTC, so that a function of Spark that knows only
instants with a zone gives the same wall-clock time.
"""

from collections.abc import Callable, Mapping

from sqlglot import exp

from clm_dagster.engines.spark.numbers import cast_number, round_half_even
from clm_dagster.engines.spark.types import (
    call,
    is_date,
    is_float,
    is_integer,
    is_interval,
    is_text,
    number,
    untranslatable,
)

_TIMESTAMP = exp.DataType.build("TIMESTAMPNTZ")


def cast(node: exp.Expr) -> exp.Expr | None:
    """Return a cast as DuckDB does it. Spark writes doubles in another form, so a model must round them first."""
    to = node.args["to"]
    if to.is_type(*exp.DataType.TEXT_TYPES):
        if is_float(node.this):
            raise untranslatable(node, "engines differ in how they write a double as text")
        return None
    if to.is_type(exp.DType.TIMESTAMP):
        return exp.cast(node.this.copy(), _TIMESTAMP)
    return cast_number(node)


def add(node: exp.Expr) -> exp.Expr | None:
    """`date + integer` is a date; a date plus an interval is a timestamp in DuckDB and a date in Spark."""
    left, right = node.this, node.expression
    if is_interval(left) or is_integer(left):
        left, right = right, left
    if is_date(left) and is_integer(right):
        return call("date_add", left.copy(), exp.cast(right.copy(), "INT"))
    if is_date(left) and is_interval(right):
        return exp.paren(exp.Add(this=exp.cast(left.copy(), _TIMESTAMP), expression=right.copy()))
    return None


def subtract(node: exp.Expr) -> exp.Expr | None:
    """`date - date` is a number of days in DuckDB and an interval in Spark."""
    left, right = node.this, node.expression
    if is_date(left) and is_date(right):
        return exp.cast(call("datediff", left.copy(), right.copy()), "BIGINT")
    if is_date(left) and is_integer(right):
        return call("date_sub", left.copy(), exp.cast(right.copy(), "INT"))
    if is_date(left) and is_interval(right):
        return exp.paren(exp.Sub(this=exp.cast(left.copy(), _TIMESTAMP), expression=right.copy()))
    if is_interval(right) or not (_is_time(left) or _is_time(right)):
        return None
    raise untranslatable(node, "a difference of timestamps is an interval, use date_diff")


def _is_time(node: exp.Expr) -> bool:
    return node.type is not None and node.type.is_type(*exp.DataType.TEMPORAL_TYPES)


def date_diff(node: exp.Expr) -> exp.Expr:
    """`date_diff` counts the midnights or the months that begin in between; Spark counts whole 24 hours and months."""
    end, start = (exp.cast(side.copy(), "DATE") for side in (node.this, node.expression))
    unit = node.args["unit"].name.lower() if node.args.get("unit") else "day"
    if unit == "day":
        return exp.cast(call("datediff", end, start), "BIGINT")
    if unit in ("month", "year"):
        parts = [
            exp.Add(
                this=exp.Mul(this=number("12"), expression=call("year", side)),
                expression=call("month", side.copy()),
            )
            if unit == "month"
            else call("year", side)
            for side in (end, start)
        ]
        return exp.cast(exp.Sub(this=exp.paren(parts[0]), expression=exp.paren(parts[1])), "BIGINT")
    raise untranslatable(node, f"date_diff in the unit {unit}")


def extract(node: exp.Expr) -> exp.Expr | None:
    """The ISO day of the week, from 1 for Monday: Spark's `weekday` counts from 0."""
    if node.name.lower() != "isodow":
        return None
    return exp.paren(exp.Add(this=call("weekday", node.expression.copy()), expression=number("1")))


def truncate(node: exp.Expr) -> exp.Expr:
    """`date_trunc` gives a timestamp without a zone in DuckDB, in Spark one with the zone of the session."""
    unit = exp.Literal.string(node.args["unit"].name.lower())
    return exp.cast(call("date_trunc", unit, node.this.copy()), _TIMESTAMP)


def concat(node: exp.Expr) -> exp.Expr:
    """`concat` skips nulls in DuckDB and is null in Spark."""
    parts = []
    for part in node.expressions:
        if isinstance(part, exp.Coalesce) and len(part.expressions) == 1 and part.expressions[0].name == "":
            part = part.this
        if is_float(part):
            raise untranslatable(node, "engines differ in how they write a double as text")
        text = part.copy() if is_text(part) else exp.cast(part.copy(), "STRING")
        is_literal = isinstance(part, exp.Literal)
        parts.append(text if is_literal else call("coalesce", text, exp.Literal.string("")))
    return call("concat", *parts)


def anonymous(node: exp.Expr) -> exp.Expr | None:
    """Functions that sqlglot does not know."""
    name = node.name.lower()
    if name == "round_even":
        return round_half_even(node)
    if name == "list_sum":
        step = "(clm_sum, clm_item) -> clm_sum + clm_item"
        return call("aggregate", node.expressions[0].copy(), number("0D"), exp.Var(this=step))
    return None


TEXT_AND_TIME_RULES: Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr | None]] = {
    exp.Cast: cast,
    exp.Add: add,
    exp.Sub: subtract,
    exp.DateDiff: date_diff,
    exp.Extract: extract,
    exp.DateTrunc: truncate,
    exp.TimestampTrunc: truncate,
    exp.Concat: concat,
    exp.Anonymous: anonymous,
}
