"""Types of expressions, for the rules.

Belongs here: questions about types, and the names of types in both engines. Does not: rules.
"""

from typing import TYPE_CHECKING

from sqlglot import exp

from clm_dagster.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql.types import DataType

WHOLE = exp.DataType.build("DECIMAL(38, 0)")  # Spark has no integers of more than 64 bits.
_HUGE = (exp.DType.INT128, exp.DType.UINT128)


def is_float(node: exp.Expr) -> bool:
    """Return whether an expression is a floating-point number."""
    return _is(node, *exp.DataType.FLOAT_TYPES)


def is_decimal(node: exp.Expr) -> bool:
    """Return whether an expression is a decimal number."""
    return _is(node, exp.DType.DECIMAL)


def is_integer(node: exp.Expr) -> bool:
    """Return whether an expression is an integer of any width."""
    return _is(node, *exp.DataType.INTEGER_TYPES)


def is_huge(node: exp.Expr) -> bool:
    """Return whether an expression is an integer of 128 bits."""
    return _is(node, *_HUGE)


def is_text(node: exp.Expr) -> bool:
    """Return whether an expression is text."""
    return _is(node, *exp.DataType.TEXT_TYPES)


def is_date(node: exp.Expr) -> bool:
    """Return whether an expression is a date."""
    return _is(node, exp.DType.DATE)


def is_interval(node: exp.Expr) -> bool:
    """Return whether an expression is an interval."""
    return isinstance(node, exp.Interval) or _is(node, exp.DType.INTERVAL)


def is_known(node: exp.Expr) -> bool:
    """Return whether the type of an expression is known; a null has any type."""
    return isinstance(node, exp.Null) or (node.type is not None and not node.type.is_type(exp.DType.UNKNOWN))


def _is(node: exp.Expr, *types: exp.DType) -> bool:
    return node.type is not None and node.type.is_type(*types)


def spark_type(kind: exp.DataType) -> exp.DataType:
    """Return the type in Spark that holds the values of a type in DuckDB."""
    if kind.is_type(*_HUGE):
        return WHOLE.copy()
    if kind.is_type(exp.DType.TIMESTAMP):
        return exp.DataType.build("TIMESTAMPNTZ")
    new = kind.copy()
    for inner in new.find_all(exp.DataType):
        if inner is not new:
            inner.replace(spark_type(inner))
    return new


def double(node: exp.Expr) -> exp.Expr:
    """Return an expression as a double."""
    return node if is_float(node) else call("double", node)


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """Return a call of a function of Spark."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def number(text: str) -> exp.Expr:
    """Return a literal number. `1D` is a double in Spark, `1BD` a decimal."""
    return exp.Var(this=text)


def case(condition: exp.Expr, then: exp.Expr, otherwise: exp.Expr) -> exp.Expr:
    """Return a condition. Spark evaluates only the branch that it needs."""
    return exp.Case(ifs=[exp.If(this=condition, true=then)], default=otherwise)


def untranslatable(node: exp.Expr, reason: str) -> UserError:
    """Return the error for SQL that the rules cannot carry over."""
    return UserError(
        f"cannot translate {node.sql('duckdb')[:200]!r} to Spark: {reason}. Write it in another way, or put it "
        "behind a macro in dbt_like_sql/macros"
    )


def duckdb_type(kind: "DataType") -> str:
    """Return the type in DuckDB of a column of a Parquet file that Spark reads."""
    written: str = exp.DataType.build(kind.simpleString(), dialect="spark").sql("duckdb")
    return written.replace("TIMESTAMPTZ", "TIMESTAMP") if kind.typeName() == "timestamp_ntz" else written
