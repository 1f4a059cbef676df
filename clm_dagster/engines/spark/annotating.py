"""The types of expressions in DuckDB, where sqlglot does not know them or takes them for others.

Belongs here: rules of DuckDB's binder for numbers. Does not: what becomes of an expression in Spark.

A wrong type would be a wrong translation, so a test compares these rules with DuckDB itself.
"""

from collections.abc import Iterable
from typing import Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

DOUBLE = exp.DataType.build("DOUBLE")
_HUGEINT = exp.DataType.build("HUGEINT", dialect="duckdb")
_BIGINT = exp.DataType.build("BIGINT")
# Digits of the integers, from narrow to wide.
_DIGITS = {
    exp.DType.TINYINT: 3,
    exp.DType.SMALLINT: 5,
    exp.DType.INT: 10,
    exp.DType.BIGINT: 19,
    exp.DType.INT128: 38,
}


def _decimal(precision: int, scale: int) -> exp.DataType:
    return exp.DataType.build(f"DECIMAL({min(precision, 38)}, {scale})")


def _size(kind: exp.DataType) -> tuple[int, int] | None:
    """Return the digits of a decimal or an integer, and how many are after the point; None for any other type."""
    if kind.this in _DIGITS:
        return _DIGITS[kind.this], 0
    if kind.is_type(exp.DType.DECIMAL) and len(kind.expressions) == 2:
        return int(kind.expressions[0].name), int(kind.expressions[1].name)
    return (18, 3) if kind.is_type(exp.DType.DECIMAL) else None


def _kinds(nodes: Iterable[exp.Expr | None]) -> list[exp.DataType]:
    """Return the types of expressions, nulls left out: they have any type."""
    found = [node.type or exp.DataType.build("UNKNOWN") for node in nodes if node is not None]
    return [kind for kind in found if not kind.is_type(exp.DType.NULL)]


def _common(kinds: list[exp.DataType]) -> exp.DataType | None:
    """Return the type that holds numbers of several types; None if they are not all numbers."""
    if any(kind.is_type(*exp.DataType.FLOAT_TYPES) for kind in kinds):
        return DOUBLE if all(_size(k) or k.is_type(*exp.DataType.FLOAT_TYPES) for k in kinds) else None
    sizes = [_size(kind) for kind in kinds]
    if not sizes or None in sizes:
        return None
    known = [size for size in sizes if size]
    if all(kind.this in _DIGITS for kind in kinds):
        return max(kinds, key=lambda kind: _DIGITS[kind.this])
    scale = max(scale for _, scale in known)
    return _decimal(max(precision - digits for precision, digits in known) + scale, scale)


def _typed(annotator: Any, node: exp.Expr, kind: exp.DataType | None, otherwise: str = "") -> exp.Expr:
    if kind is not None:
        annotator._set_type(node, kind.copy())
    elif otherwise:
        getattr(annotator, otherwise)(node)
    else:
        _default(annotator, node)
    return node


def _default(annotator: Any, node: exp.Expr) -> None:
    spec = DuckDB.EXPRESSION_METADATA.get(type(node)) or {}
    if spec.get("annotator"):
        spec["annotator"](annotator, node)
    else:
        annotator._set_type(node, spec.get("returns") or exp.DType.UNKNOWN)


def _combined(annotator: Any, node: exp.Expr) -> exp.Expr:
    """Type what is one of several values."""
    if isinstance(node, exp.Case):
        values = [*(branch.args.get("true") for branch in node.args["ifs"]), node.args.get("default")]
    else:
        values = [node.this, *node.expressions]
    return _typed(annotator, node, _common(_kinds(values)))


def _arithmetic(annotator: Any, node: exp.Expr) -> exp.Expr:
    """Type a sum, a difference or a product. A product of decimals of up to 18 digits has 18."""
    kinds = _kinds((node.this, node.expression))
    kind = _common(kinds)
    if kind is not None and kind.is_type(exp.DType.DECIMAL) and len(kinds) == 2:
        sizes = [size for size in map(_size, kinds) if size]
        if isinstance(node, exp.Mul):
            digits = sum(precision for precision, _ in sizes)
            narrow = max(precision for precision, _ in sizes) <= 18
            kind = _decimal(min(digits, 18) if narrow else digits, sum(scale for _, scale in sizes))
        else:
            scale = max(scale for _, scale in sizes)
            kind = _decimal(max(precision - digits for precision, digits in sizes) + scale + 1, scale)
    if isinstance(node, exp.Sub) and len(kinds) == 2 and all(k.is_type(exp.DType.DATE) for k in kinds):
        kind = _BIGINT
    return _typed(annotator, node, kind)


def _sum(annotator: Any, node: exp.Expr) -> exp.Expr:
    (kind,) = _kinds((node.this,)) or [DOUBLE]
    if kind.this in _DIGITS or kind.is_type(exp.DType.BOOLEAN):
        return _typed(annotator, node, _HUGEINT)
    size = _size(kind)
    return _typed(annotator, node, _decimal(38, size[1]) if size else DOUBLE)


def _whole(annotator: Any, node: exp.Expr) -> exp.Expr:
    """Type what rounds."""
    (kind,) = _kinds((node.this,)) or [DOUBLE]
    size = _size(kind)
    if kind.is_type(exp.DType.DECIMAL) and size:
        digits = node.args.get("decimals")
        scale = int(digits.name) if digits is not None and digits.is_int else 0
        kind = _decimal(size[0], min(scale, size[1]))
    return _typed(annotator, node, DOUBLE if kind.is_type(*exp.DataType.FLOAT_TYPES) else kind)


def _anonymous(annotator: Any, node: exp.Expr) -> exp.Expr:
    """Type the functions that sqlglot does not know."""
    name = node.name.lower()
    if name == "round_even":
        (kind,) = _kinds(node.expressions[:1]) or [DOUBLE]
        size = _size(kind)
        is_decimal = kind.is_type(exp.DType.DECIMAL) and size is not None
        return _typed(annotator, node, _decimal(size[0], 0) if is_decimal and size else kind)
    return _typed(annotator, node, DOUBLE if name == "list_sum" else exp.DataType.build("UNKNOWN"))


def _literal(annotator: Any, node: exp.Expr) -> exp.Expr:
    """Type a number with a point as a decimal, which it is in both engines. sqlglot takes it for a double."""
    whole, point, fraction = node.name.partition(".")
    if node.args.get("is_string") or not point or not fraction.isdigit():
        return _typed(annotator, node, None, "_annotate_literal")
    return _typed(annotator, node, _decimal(len(whole) + len(fraction), len(fraction)))


def _series(annotator: Any, node: exp.Expr) -> exp.Expr:
    """Type a list of whole numbers, which are of 64 bits."""
    is_whole = all(kind.this in _DIGITS for kind in _kinds((node.args["start"], node.args["end"])))
    return _typed(annotator, node, exp.DataType.build("BIGINT[]", dialect="duckdb") if is_whole else None)


def common_type(nodes: Iterable[exp.Expr]) -> exp.DataType:
    """Return the type of a column of several queries over each other: that of numbers, or of the first known one."""
    kinds = [kind for kind in _kinds(nodes) if not kind.is_type(exp.DType.UNKNOWN)]
    return _common(kinds) or (kinds[0] if kinds else exp.DataType.build("UNKNOWN"))


def _first_argument(annotator: Any, node: exp.Expr) -> exp.Expr:
    return _typed(annotator, node, node.this.type)


TYPES_OF_EXPRESSIONS: Any = {
    **DuckDB.EXPRESSION_METADATA,
    **{kind: {"annotator": _arithmetic} for kind in (exp.Add, exp.Sub, exp.Mul)},
    **{kind: {"annotator": _combined} for kind in (exp.Case, exp.Coalesce, exp.Greatest, exp.Least)},
    **{kind: {"annotator": _whole} for kind in (exp.Round, exp.Floor, exp.Ceil)},
    **{kind: {"annotator": _first_argument} for kind in (exp.ArgMin, exp.ArgMax)},
    exp.Anonymous: {"annotator": _anonymous},
    exp.Div: {"returns": exp.DType.DOUBLE},
    exp.GenerateSeries: {"annotator": _series},
    exp.Literal: {"annotator": _literal},
    exp.SplitPart: {"returns": exp.DType.VARCHAR},
    exp.Sum: {"annotator": _sum},
}
