"""Numbers: what the same words mean in DuckDB and in Spark.

Belongs here: rules for arithmetic, rounding and casts to numbers. Does not: how values become text (`texts_and_times`).

Spark runs in ANSI mode, so that an overflow and a division of integers by zero are errors, as in DuckDB.
"""

from collections.abc import Callable, Mapping

from sqlglot import exp

from clm_dagster.engines.spark.types import (
    WHOLE,
    call,
    case,
    double,
    is_decimal,
    is_float,
    is_huge,
    is_integer,
    is_known,
    number,
    spark_type,
    untranslatable,
)
from clm_dagster.errors import UserError

_INFINITY = "double('Infinity')"


def divide(node: exp.Expr) -> exp.Expr:
    """`/` is a division of doubles in DuckDB, also of decimals and integers; by zero it is infinite or NaN."""
    left, right = double(node.this.unnest()), double(node.expression.unnest())
    quotient = exp.Div(this=exp.paren(left.copy()), expression=exp.paren(right.copy()), typed=True)
    if _is_never_zero(node.expression.unnest()):
        return exp.paren(quotient)
    zero = exp.EQ(this=exp.paren(right), expression=number("0D"))
    infinite = exp.Mul(this=exp.paren(left), expression=exp.Var(this=_INFINITY))
    return exp.paren(case(zero, infinite, quotient))


def _is_never_zero(node: exp.Expr) -> bool:
    if isinstance(node, exp.Cast):
        return _is_never_zero(node.this.unnest()) and is_float(node)
    if isinstance(node, exp.Nullif):
        return node.expression.is_number and float(node.expression.name) == 0
    return isinstance(node, exp.Literal) and node.is_number and float(node.name) != 0


def divide_whole(node: exp.Expr) -> exp.Expr:
    """`//` truncates. Spark's `div` has 64 bits, and its division of decimals rounds: the remainder goes first."""
    left, right = node.this, node.expression
    if not (is_integer(left) and is_integer(right)):
        raise untranslatable(node, "// is for integers")
    if not (is_huge(left) or is_huge(right)):
        return exp.paren(exp.IntDiv(this=exp.paren(left.copy()), expression=exp.paren(right.copy())))
    dividend, divisor = exp.cast(left.copy(), WHOLE), exp.cast(right.copy(), WHOLE)
    rest = exp.Mod(this=dividend.copy(), expression=divisor.copy())
    exact = exp.paren(exp.Sub(this=dividend, expression=exp.paren(rest)))
    return exp.cast(exp.Div(this=exact, expression=divisor, typed=True), WHOLE)


def multiply_huge(node: exp.Expr) -> exp.Expr | None:
    """A product of two 64-bit integers may be one of 128 bits in DuckDB if either side is."""
    sides = (node.this, node.expression)
    if not (all(map(is_integer, sides)) and any(map(is_huge, sides))):
        return None
    left, right = (exp.cast(side.copy(), WHOLE) for side in sides)
    return exp.paren(exp.Mul(this=left, expression=right))


def round_away(node: exp.Expr) -> exp.Expr | None:
    """Both round half away from zero. With digits, DuckDB scales a double; Spark rounds its shortest decimal form."""
    value, digits = node.this, node.args.get("decimals")
    if not is_float(value) or digits is None or digits.name == "0":
        return None
    if not digits.is_int:
        raise untranslatable(node, "the number of digits is not a constant")
    scale = number(f"1e{digits.name}D")
    scaled = call("round", exp.Mul(this=exp.paren(value.copy()), expression=scale))
    return exp.paren(exp.Div(this=scaled, expression=scale.copy(), typed=True))


def round_half_even(node: exp.Expr) -> exp.Expr:
    """`round_even` is `bround` in Spark, for doubles `rint`, which rounds the number and not its decimal form."""
    value, digits = node.expressions
    if is_float(value):
        if digits.name != "0":
            raise untranslatable(node, "round_even of a double to a fraction")
        return call("rint", value.copy())
    return call("bround", value.copy(), digits.copy())


def log(node: exp.Expr) -> exp.Expr:
    """A logarithm of zero is minus infinity in DuckDB and null in Spark, of a negative number an error and null."""
    value = node.expression if isinstance(node, exp.Log) and node.expression else node.this
    name = "ln"
    if isinstance(node, exp.Log):
        base = node.this.name if node.expression else "10"
        if base not in ("2", "10"):
            raise untranslatable(node, "a logarithm of another base than 2 or 10")
        name = f"log{base}"
    given = double(value.copy())
    zero = exp.EQ(this=given.copy(), expression=number("0D"))
    negative = exp.LT(this=given.copy(), expression=number("0D"))
    message = exp.Literal.string("cannot take logarithm of a negative number")
    error = call("double", call("raise_error", message))
    infinite = exp.Neg(this=exp.Var(this=_INFINITY))
    return case(zero, infinite, case(negative, error, call(name, given)))


def cast_number(node: exp.Expr) -> exp.Expr | None:
    """Return a cast to a number as DuckDB does it, None where both do the same.

    To an integer, DuckDB rounds, a decimal half away from zero and a double half to even; Spark truncates. To a
    decimal, DuckDB scales a double and rounds half away from zero; Spark rounds its shortest decimal form.
    """
    value, to = node.this, node.args["to"]
    if to.is_type(*exp.DataType.INTEGER_TYPES):
        if is_float(value):
            rounded: exp.Expr = call("rint", value.copy())
        elif is_decimal(value):
            rounded = call("round", value.copy(), number("0"))
        else:
            rounded = value.copy()
            _require_type(node)
        if to.is_type(exp.DType.INT128, exp.DType.UINT128) and is_float(value):
            return _whole(rounded)
        return exp.cast(rounded, spark_type(to))
    if to.is_type(exp.DType.DECIMAL):
        _require_type(node)
        if is_float(value):
            return _to_decimal(value.copy(), to)
    return None


def _require_type(node: exp.Expr) -> None:
    if not is_known(node.this):
        raise untranslatable(node, "the type of the operand is not known")


def _to_decimal(value: exp.Expr, to: exp.DataType) -> exp.Expr:
    precision, scale = (int(part.name) for part in to.expressions)
    if scale > 18:
        raise UserError(
            f"a double cannot become a decimal of {scale} digits after the point on Spark, but of 18"
        )
    power = number(f"1e{scale}D")
    rounded = call("round", exp.Mul(this=exp.paren(value), expression=power))
    if precision <= 18:
        return exp.cast(_scaled(exp.cast(rounded, "BIGINT"), scale), to.copy())
    # In two parts, because a product of decimals that needs more than 38 digits loses some.
    unit = number(f"{10**scale}BD")
    whole = exp.IntDiv(this=_whole(rounded), expression=unit)
    rest = exp.cast(exp.paren(exp.Mod(this=_whole(rounded.copy()), expression=unit.copy())), "DECIMAL(19, 0)")
    fraction = exp.cast(_scaled(rest, scale), exp.DataType.build(f"DECIMAL({scale + 1}, {scale})"))
    return exp.cast(
        exp.paren(exp.Add(this=exp.cast(whole, "DECIMAL(19, 0)"), expression=fraction)), to.copy()
    )


def _scaled(whole: exp.Expr, scale: int) -> exp.Expr:
    return exp.paren(exp.Mul(this=whole, expression=number(f"{10**-scale:.{scale}f}BD")))


def _whole(value: exp.Expr) -> exp.Expr:
    """Return a whole double below 2^95 as a decimal, exactly; a larger one is an error when the query runs.

    Spark's own cast keeps about 17 digits. Each half fits into 64 bits.
    """
    half = number("4294967296D")
    high = call("floor", exp.Div(this=exp.paren(value.copy()), expression=half, typed=True))
    low = exp.Sub(
        this=exp.paren(value), expression=exp.Mul(this=call("double", high.copy()), expression=half.copy())
    )
    scaled = exp.Mul(this=exp.cast(high, "DECIMAL(28, 0)"), expression=number("4294967296BD"))
    return exp.paren(exp.Add(this=scaled, expression=exp.cast(exp.cast(low, "BIGINT"), "DECIMAL(20, 0)")))


NUMBER_RULES: Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr | None]] = {
    exp.Div: divide,
    exp.IntDiv: divide_whole,
    exp.Mul: multiply_huge,
    exp.Round: round_away,
    exp.Ln: log,
    exp.Log: log,
}
