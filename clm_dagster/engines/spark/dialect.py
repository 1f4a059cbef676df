"""From the project's SQL, which is DuckDB's, to Spark SQL with the same rows.

Belongs here: typing the tree of a query, applying the rules, writing SQL. Does not: the rules themselves (`numbers`,
`texts_and_times`, `queries`), and running anything (`engine`).

sqlglot knows how the two engines write the same thing. The rules know where the same words mean something else. Many
of them depend on types, so a query is qualified and typed first, from the types of the relations that it reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlglot import exp, parse_one
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from clm_dagster.engines.spark.annotating import TYPES_OF_EXPRESSIONS, common_type
from clm_dagster.engines.spark.numbers import NUMBER_RULES
from clm_dagster.engines.spark.queries import QUERY_RULES
from clm_dagster.engines.spark.texts_and_times import TEXT_AND_TIME_RULES
from clm_dagster.engines.spark.types import spark_type, untranslatable

Types = Mapping[str, Mapping[str, str]]  # relation -> column -> type, as DuckDB writes it
Rule = Callable[[exp.Expr], exp.Expr | None]

RULES: Mapping[type[exp.Expr], Rule] = {**NUMBER_RULES, **TEXT_AND_TIME_RULES, **QUERY_RULES}


@dataclass(frozen=True)
class Recursion:
    """A recursive CTE: rows to start with, and a query that reads the rows of the round before from `view`."""

    view: str
    start: str
    step: str


@dataclass(frozen=True)
class Translation:
    """A query in Spark SQL. types: of its columns, in DuckDB. recursions: the views that it reads, to build before."""

    sql: str
    types: dict[str, str]
    recursions: tuple[Recursion, ...]


def translate(sql: str, types: Types) -> Translation:
    """Return a query in Spark SQL that gives the rows and types that DuckDB gives.

    types: the relations that it reads. Raise UserError for SQL that cannot be carried over.
    """
    tree = _typed(sql, types)
    columns = _columns(tree)
    tree = _by_rules(tree)
    recursions = _without_recursion(tree)
    casts = [
        exp.cast(exp.column(name, quoted=True), spark_type(kind), copy=False).as_(name, quoted=True)
        for name, kind in columns.items()
    ]
    outer = exp.select(*casts).from_(
        exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier("q")))
    )
    return Translation(
        _write(outer), {name: kind.sql("duckdb") for name, kind in columns.items()}, recursions
    )


def translate_condition(sql: str, relation: str, types: Types) -> str:
    """Return a condition on the rows of a relation in Spark SQL."""
    tree = _by_rules(_typed(f"select 1 as one from {relation} where {sql}", types))
    where = tree.args["where"].this
    for column in where.find_all(exp.Column):
        column.set("table", None)
    return _write(where)


def _typed(sql: str, types: Types) -> exp.Query:
    """Return the tree of a query with a type on every expression."""
    nested: dict[str, object] = {}
    for relation, columns in types.items():
        space, name = relation.split(".")
        tables = nested.setdefault(space, {})
        assert isinstance(tables, dict)
        tables[name] = dict(columns)
    parsed = parse_one(sql, read="duckdb")
    tree = qualify(parsed, schema=nested, dialect="duckdb", identify=True, validate_qualify_columns=False)
    typed = annotate_types(tree, schema=nested, dialect="duckdb", expression_metadata=TYPES_OF_EXPRESSIONS)
    assert isinstance(typed, exp.Query)
    return typed


def _columns(tree: exp.Query) -> dict[str, exp.DataType]:
    """Return the types of the columns of a query."""
    parts, queries = [tree], list[exp.Query]()
    while parts:
        part = parts.pop()
        if isinstance(part, exp.SetOperation):
            parts += [part.right, part.left]
        else:
            queries.append(part)
    found = {}
    for place, select in enumerate(tree.selects):
        kind = common_type(query.selects[place] for query in queries)
        if kind.is_type(exp.DType.UNKNOWN):
            raise untranslatable(select, "the type of this column is not known")
        found[select.alias_or_name] = kind
    return found


def _by_rules(tree: exp.Query) -> exp.Query:
    """Apply the rules to every node, those of its children first. A new node keeps the type of the old one."""
    holder = exp.Paren(this=tree)
    for node in reversed(list(tree.walk())):
        rule = RULES.get(type(node))
        if rule is not None:
            kind = node.type
            new = rule(node)
            if new is not None and new is not node:
                new.type = kind
                node.replace(new)
    query = holder.this
    assert isinstance(query, exp.Query)
    query.pop()
    return query


def _without_recursion(tree: exp.Query) -> tuple[Recursion, ...]:
    """Take recursive CTEs out of a query. Spark lets a round read the one before only once, and not in a subquery."""
    ctes = tree.ctes
    if not any(with_.args.get("recursive") for with_ in tree.find_all(exp.With)):
        return ()
    found = []
    for number, cte in enumerate(ctes):
        if not isinstance(cte.this, exp.Union) or not _reads(cte.this, cte.alias):
            continue
        view = f"clm_round_{cte.alias}"
        for table in cte.this.find_all(exp.Table):
            if not table.db and table.name == cte.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True)))
                table.set("this", exp.to_identifier(view, quoted=True))
        before = [earlier.copy() for earlier in ctes[:number]]
        queries = []
        for part in (cte.this.left, cte.this.right):
            query = part.copy()
            query.set("with_", exp.With(expressions=[earlier.copy() for earlier in before]))
            queries.append(_write(query))
        found.append(Recursion(view, *queries))
        cte.set("this", exp.select("*").from_(exp.to_table(view)))
    tree.args["with_"].set("recursive", False)
    return tuple(found)


def _reads(query: exp.Expr, name: str) -> bool:
    return any(not table.db and table.name == name for table in query.find_all(exp.Table))


def _write(tree: exp.Expr) -> str:
    return tree.sql(dialect="spark", identify=True, comments=False)
