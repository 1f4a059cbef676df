"""Aggregates, windows and rows that are generated: what the same words mean in DuckDB and in Spark.

Belongs here: rules for what reads or makes several rows. Does not: rules for single values.
"""

from collections.abc import Callable, Mapping

from sqlglot import exp

from clm_dagster.engines.spark.types import call, case, double, is_decimal, number, untranslatable

_NUMBERED = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.Lag, exp.Lead)


def average(node: exp.Expr) -> exp.Expr | None:
    """The average of decimals is a double in DuckDB, from an exact sum; in Spark a decimal with four more digits."""
    if not is_decimal(node.this):
        return None
    whole = node
    while isinstance(whole.parent, exp.Filter | exp.Window) and whole.parent.this is whole:
        whole = whole.parent
    if whole is node:
        return _average(exp.Sum(this=node.this.copy()), exp.Count(this=node.this.copy()))
    return None


def _average(total: exp.Expr, count: exp.Expr) -> exp.Expr:
    divisor = exp.Nullif(this=count, expression=number("0"))
    return exp.paren(exp.Div(this=double(total), expression=double(divisor), typed=True))


def _wrapped_average(node: exp.Expr) -> exp.Expr | None:
    """Return the average of decimals with its filter and its window."""
    inner = node
    while isinstance(inner, exp.Filter | exp.Window):
        inner = inner.this
    if not (isinstance(inner, exp.Avg) and is_decimal(inner.this)):
        return None
    if isinstance(node.parent, exp.Filter | exp.Window) and node.parent.this is node:
        return None
    parts = []
    for kind in (exp.Sum, exp.Count):
        copied = node.copy()
        found = copied.find(exp.Avg)
        assert found is not None
        found.replace(kind(this=found.this.copy()))
        parts.append(copied)
    return _average(*parts)


def first_by(node: exp.Expr) -> exp.Expr | None:
    """`arg_min` skips rows whose result is null; `min_by` in Spark returns the null."""
    if isinstance(node.parent, exp.Filter):
        return None
    return exp.Filter(this=node.copy(), expression=exp.Where(this=_given(node)))


def _given(node: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=exp.paren(node.this.copy()), expression=exp.Null()))


def filtered(node: exp.Expr) -> exp.Expr | None:
    """A filter of an aggregate over a window, which Spark does not know, is a condition inside the aggregate."""
    aggregate = node.this
    if isinstance(node.parent, exp.Window) and node.parent.this is node:
        condition = node.expression.this
        if isinstance(aggregate, exp.ArgMin | exp.ArgMax):
            raise untranslatable(node, "arg_min and arg_max over a window with a filter")
        value = number("1") if isinstance(aggregate.this, exp.Star) else aggregate.this.copy()
        new: exp.Expr = aggregate.copy()
        new.set("this", exp.Case(ifs=[exp.If(this=condition.copy(), true=value)]))
        new.type = aggregate.type
        return new
    if isinstance(aggregate, exp.ArgMin | exp.ArgMax):
        both = exp.and_(exp.paren(node.expression.this.copy()), _given(aggregate))
        return exp.Filter(this=aggregate.copy(), expression=exp.Where(this=both))
    return _wrapped_average(node)


def window(node: exp.Expr) -> exp.Expr | None:
    """Write named windows out, without frames where Spark allows none, and with an order where it requires one.

    Rows that tie in all that the query selects are numbered in the order in which Spark reads them.
    """
    select = node.find_ancestor(exp.Select)
    name = node.args.get("alias")
    if name is not None and select is not None:
        named = {str(each.this.name): each for each in select.args.get("windows") or []}
        found = named[name.name]
        node.set("alias", None)
        node.set("partition_by", [each.copy() for each in found.args.get("partition_by") or []])
        for part in ("order", "spec"):
            node.set(part, found.args[part].copy() if found.args.get(part) else None)
        node.set("over", "OVER")
    function = node.this.this if isinstance(node.this, exp.IgnoreNulls | exp.RespectNulls) else node.this
    if isinstance(function, _NUMBERED):
        node.set("spec", None)
        if not node.args.get("order"):
            node.set("order", exp.Order(expressions=_order_of_rows(node, select)))
    return _wrapped_average(node)


def _order_of_rows(node: exp.Expr, select: exp.Select | None) -> list[exp.Expr]:
    others = [] if select is None else [each.unalias() for each in select.expressions]
    columns = [each for each in others if node not in each.walk() and not each.find(exp.Window, exp.AggFunc)]
    return [exp.Ordered(this=each.copy(), nulls_first=True) for each in columns] or [
        exp.Ordered(this=exp.Null())
    ]


def series(node: exp.Expr) -> exp.Expr:
    """`range` and `generate_series` are `sequence` in Spark, which counts down where the end is before the start."""
    start, end, step = node.args["start"], node.args["end"], node.args.get("step")
    bounds = [start.copy(), end.copy()]
    if step is None:
        bounds = [exp.cast(bound, "BIGINT") for bound in bounds]
        if node.args.get("is_end_exclusive"):
            bounds[1] = exp.paren(exp.Sub(this=bounds[1], expression=number("1")))
    elif node.args.get("is_end_exclusive"):
        raise untranslatable(node, "range with a step")
    steps = [step.copy()] if step is not None else []
    rows = call("sequence", *bounds, *steps)
    empty = call("array")
    return case(exp.GTE(this=bounds[1].copy(), expression=bounds[0].copy()), rows, empty)


def select(node: exp.Expr) -> exp.Expr | None:
    """A query as a whole: series in its columns, and the order of distinct rows."""
    node.set("windows", None)
    _order_by_columns(node)
    alone = [each for each in node.expressions if isinstance(each.unalias(), exp.Explode)]
    found = [
        explode
        for each in node.expressions
        for explode in each.find_all(exp.Explode)
        if explode.find_ancestor(exp.Select) is node
    ]
    if not found or (len(found) == len(alone) == 1 and not found[0].find(exp.AggFunc)):
        return None
    return _lateral(node, found)


def _order_by_columns(node: exp.Expr) -> None:
    """Order distinct rows by what the query selects: Spark sorts them after it has dropped all other columns."""
    order = node.args.get("order")
    if not order or not node.args.get("distinct"):
        return
    selected = {each.unalias(): each.alias_or_name for each in node.expressions}
    for ordered in order.expressions:
        if ordered.this in selected:
            ordered.set("this", exp.column(selected[ordered.this], quoted=True))


def _lateral(node: exp.Expr, found: list[exp.Expr]) -> exp.Expr | None:
    """Move series out of expressions into lateral views: Spark allows them only as columns of their own.

    The bounds of a series may be aggregates, which a query below computes first.
    """
    aggregated = any(explode.find(exp.AggFunc) for explode in found)
    if node.args.get("group") or (aggregated and len(found) < len(node.expressions)):
        raise untranslatable(node, "a series in a query that groups")
    below = node.copy() if aggregated else None
    lists = []
    for place, explode in enumerate(found):
        table, column = f"clm_series_{place}", f"clm_item_{place}"
        rows = explode.this.copy()
        if aggregated:
            lists.append(rows.as_(f"clm_list_{place}", quoted=True))
            rows = exp.column(f"clm_list_{place}", quoted=True)
        view = exp.Lateral(
            this=exp.Explode(this=rows),
            view=True,
            alias=exp.TableAlias(this=exp.to_identifier(table), columns=[exp.to_identifier(column)]),
        )
        explode.replace(exp.column(column, table, quoted=True))
        node.append("laterals", view)
    if below is None:
        return None
    below.set("expressions", lists)
    above = exp.select(*[each.copy() for each in node.expressions]).from_(
        exp.Subquery(this=below, alias=exp.TableAlias(this=exp.to_identifier("clm_bounds")))
    )
    above.set("laterals", [view.copy() for view in node.args["laterals"]])
    return above


QUERY_RULES: Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr | None]] = {
    exp.Avg: average,
    exp.ArgMin: first_by,
    exp.ArgMax: first_by,
    exp.Filter: filtered,
    exp.Window: window,
    exp.GenerateSeries: series,
    exp.GenerateDateArray: series,
    exp.Select: select,
}
