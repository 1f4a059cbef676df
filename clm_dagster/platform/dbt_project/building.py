"""Run models in DuckDB, in place or in a scratch schema with other inputs.

Belongs here: executing the SQL of models and of their data tests. Does not: Dagster, locks, what is stale.

The project is a function of its sources and variables. Tests and replays run any part of it with `build`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import pandas as pd

from clm_dagster.platform.dbt_project.project import Model, Node, Project
from clm_dagster.platform.dbt_project.properties import DataTest
from clm_dagster.platform.dbt_project.sql_errors import sql_errors
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.warehouse import Connection

# A statement that builds several snapshots writes about this many rows, so that it fits into the default memory limit.
# Most snapshots have a row per customer.
_ROWS_PER_STATEMENT = 500_000
_CUSTOMERS = "customer_daily"


@dataclass(frozen=True)
class Batch:
    """The days [start, end) that a microbatch replaces."""

    start: date
    end: date

    def where(self, column: str) -> str:
        """Return the batch as a SQL predicate on a column."""
        return f"{column} >= timestamp '{self.start} 00:00:00' and {column} < timestamp '{self.end} 00:00:00'"


@dataclass(frozen=True)
class Snapshot:
    """The state at one instant, which must be midnight because the upstream tables are daily."""

    as_of: datetime

    def __post_init__(self) -> None:
        if self.as_of.time() != time.min or self.as_of.tzinfo is not None:
            raise ValueError(f"as_of {self.as_of} is not a shop-local midnight")

    def where(self, column: str) -> str:
        """Return the snapshot as a SQL predicate on a column."""
        return f"{column} = timestamp '{self.as_of}'"


@dataclass(frozen=True)
class Snapshots:
    """The states at several instants, in order, that one statement builds."""

    as_ofs: tuple[datetime, ...]

    def __post_init__(self) -> None:
        if not self.as_ofs or list(self.as_ofs) != sorted(set(self.as_ofs)):
            raise ValueError(f"expected as_ofs in ascending order, each once; found {self.as_ofs}")
        for as_of in self.as_ofs:
            Snapshot(as_of)

    def where(self, column: str) -> str:
        """Return the snapshots as a SQL predicate on a column."""
        listed = ", ".join(f"timestamp '{as_of}'" for as_of in self.as_ofs)
        return f"{column} in ({listed})"


@dataclass(frozen=True)
class ChangedDays:
    """The days, as ISO dates in order, whose rows changed since a state was built. The state has been built before."""

    days: tuple[str, ...]


Slice = Batch | Snapshot | Snapshots | ChangedDays | None


def compile_model(
    project: Project,
    model: Model,
    piece: Slice = None,
    relations: Callable[[str], str] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> str:
    """Return the SQL of a model for a range of days, for an as_of, for changed days, or (None) for the whole model.

    As in dbt, a microbatch reads only its batch of every upstream node that has an `event_time`.
    """

    def relation(name: str) -> str:
        node = project.nodes[name]
        found = relations(name) if relations else node.relation
        if isinstance(piece, Batch) and model.materialized == "microbatch" and node.event_time:
            return f"(select * from {found} where {piece.where(node.event_time)})"
        return found

    values = dict(variables or {})
    if isinstance(piece, Snapshot):
        values["as_of"] = str(piece.as_of)
    elif isinstance(piece, Snapshots):
        values["as_of"] = [str(as_of) for as_of in piece.as_ofs]
    elif isinstance(piece, ChangedDays):
        values["changed_days"] = list(piece.days)
    if model.materialized == "snapshot" and not values.get("as_of"):
        raise ProjectError(f"{model.path}: a snapshot model requires an as_of, but none was given")
    extra = {"is_incremental": lambda: isinstance(piece, ChangedDays)}
    return project.renderer.render(model.path, relation, values, this=model.relation, extra=extra)


def snapshot_slices(as_ofs: Sequence[datetime], customers: int) -> list[Snapshot | Snapshots]:
    """Return the statements that build snapshots, as slices in order of time.

    Most of the work is the same for one as_of and for many, so each statement builds as many as memory allows.
    customers: about the number of customers. Raise ValueError for an as_of that is not midnight.
    """
    ordered = sorted(set(as_ofs))
    size = max(1, _ROWS_PER_STATEMENT // max(customers, 1))
    parts = [tuple(ordered[start : start + size]) for start in range(0, len(ordered), size)]
    return [Snapshots(part) if len(part) > 1 else Snapshot(*part) for part in parts]


def count_customers(
    connection: Connection, project: Project, relations: Mapping[str, str] | None = None
) -> int:
    """Return about how many customers the shop has; 0 if the project or the database does not know.

    relations: replacements of relations of the project.
    """
    if _CUSTOMERS not in project.nodes:
        return 0
    relation = (relations or {}).get(_CUSTOMERS, project.nodes[_CUSTOMERS].relation)
    if connection.relation_kind(relation) is None:
        return 0
    return int(connection.scalar(f"select approx_count_distinct(customer_id) from {relation}"))


def materialize(
    connection: Connection, model: Model, target: str, sql: str, piece: Slice = None, first: bool = True
) -> None:
    """Replace the rows of a model. Call this inside a transaction. Raise ProjectError, with file and line of its SQL.

    first: whether this is the first piece of a step; later pieces do not check the columns of the table again.
    """
    with sql_errors(model.path, sql):
        if model.materialized == "view":
            connection.drop_unless(target, "VIEW")
            connection.execute(f"create or replace view {target} as {sql}")
        elif piece is None:
            connection.drop_unless(target, "BASE TABLE")
            connection.replace_table(target, sql)
        elif isinstance(piece, ChangedDays):
            connection.replace_keys(target, sql, model.unique_key)
            if "post_hook" in model.config:
                connection.execute(_hook(model, target))
        else:
            connection.replace_rows(target, sql, piece.where(time_column(model)), same_columns=not first)


def time_column(model: Model) -> str:
    """Return the column that determines the partition of a row."""
    return model.unique_key[0] if model.materialized == "snapshot" else str(model.event_time)


def _hook(model: Model, target: str) -> str:
    """Return the statement that ends the build of a state."""
    return str(model.config["post_hook"]).replace("{{ this }}", target)


def load_seed(connection: Connection, seed: Node, target: str) -> None:
    """Replace the table of a seed with the rows of its file. Call this inside a transaction."""
    path = literal(seed.path)
    columns = connection.columns(f"select * from read_csv({path}, header = true, delim = ',')")
    documented = {column.name: column.data_type for column in seed.columns}
    if documented and set(columns) != set(documented):
        raise ProjectError(
            f"{seed.path}: expected the columns {', '.join(documented)}, found {', '.join(columns)}"
        )
    types = {name: documented.get(name) or kind for name, kind in columns.items()}
    listed = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    connection.replace_table(
        target, f"select * from read_csv({path}, header = true, delim = ',', columns = {{{listed}}})"
    )


def literal(value: object) -> str:
    """Return a value as a SQL text literal."""
    return "'" + str(value).replace("'", "''") + "'"


def failing_condition(test: DataTest) -> str | None:
    """Return the condition of a row that fails a data test; None for a test that a single row cannot fail."""
    if test.kind == "not_null":
        return f"{test.column} is null"
    if test.kind == "accepted_values":
        write = literal if test.arguments.get("quote", True) else str
        values = ", ".join(write(value) for value in test.arguments["values"])
        return f"{test.column} not in ({values})"
    return None


def failing_rows(test: DataTest, relation: str, relations: Callable[[str], str]) -> str:
    """Return a query for the number of rows (for `unique`: values) that fail a data test."""
    column, condition = test.column, failing_condition(test)
    if condition is not None:
        return f"select count(*) from {relation} where {condition}"
    if test.kind == "unique":
        return (
            f"select count(*) from (select {column} from {relation} "
            f"where {column} is not null group by {column} having count(*) > 1)"
        )
    other, key = relations(str(test.related)), test.arguments["field"]
    return (
        f"select count(*) from {relation} as child where child.{column} is not null "
        f"and not exists (select 1 from {other} as parent where parent.{key} = child.{column})"
    )


def build(
    connection: Connection,
    project: Project,
    models: Iterable[str],
    schema: str,
    sources: Mapping[str, str | pd.DataFrame],
    as_of: datetime | Sequence[datetime] | None = None,
    known_at: datetime | None = None,
    start: date | None = None,
    end: date | None = None,
) -> dict[str, str]:
    """Build models with all their upstream models in one scratch schema. Return the relation of each model built.

    sources: replacements of sources (`raw.events`), seeds or models, each as a relation or a data frame. Other sources
    are read in place; a Python table that does not exist yet is empty. as_of: the snapshot to build, or several. start,
    end: microbatches are built over [start, end); the defaults are the variable `start_date` and the last `as_of`.
    known_at: restricts all raw tables to the rows known at that time. Raise ProjectError for an unknown name,
    ValueError for an as_of that is not midnight.
    """
    as_ofs = [as_of] if isinstance(as_of, datetime) else sorted(set(as_of or ()))
    for instant in as_ofs:
        Snapshot(instant)
    last = as_ofs[-1] if as_ofs else None
    for name in (*models, *sources):
        if name not in project.nodes:
            raise ProjectError(f"unknown model, seed or source {name!r}")
    connection.execute(f"create schema if not exists {schema}")
    relations: dict[str, str] = {}
    for name, given in sources.items():
        if isinstance(given, pd.DataFrame):
            relations[name] = f"{schema}.{name.replace('.', '__')}"
            connection.load_frame(relations[name], given)
        else:
            relations[name] = given
    built: dict[str, str] = {}
    batch = _batch(project, last, start, end)
    variables = {
        "as_of": str(last) if last else None,
        "known_at": str(known_at) if known_at else None,
    }
    for name in with_upstream(project, models, without=relations):
        node = project.nodes[name]
        if not isinstance(node, Model):
            relations[name] = node.relation
            if project.is_python_table(name):
                connection.ensure_columns(node.relation, node.types)
            if name in project.seeds:
                relations[name] = f"{schema}.{name}"
                load_seed(connection, node, relations[name])
            continue
        pieces: Sequence[Slice] = [None]
        if node.materialized == "microbatch":
            pieces = [batch]
        elif node.materialized == "snapshot" and as_ofs:
            pieces = snapshot_slices(as_ofs, count_customers(connection, project, relations))
        relations[name] = built[name] = f"{schema}.{name}"
        with connection.transaction():
            for number, piece in enumerate(pieces):
                sql = compile_model(project, node, piece, relations.__getitem__, variables)
                materialize(connection, node, built[name], sql, piece, first=number == 0)
    return built


def with_upstream(project: Project, models: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """Return the models and all upstream nodes in topological order, without `without` and its upstream nodes."""
    wanted: set[str] = set()
    stack = list(models)
    while stack:
        name = stack.pop()
        if name in wanted or name in without:
            continue
        wanted.add(name)
        node = project.nodes[name]
        if isinstance(node, Model):
            stack.extend(node.refs)
    return [name for name in project.nodes if name in wanted]


def _batch(project: Project, as_of: datetime | None, start: date | None, end: date | None) -> Batch | None:
    first = start or date.fromisoformat(str(project.variables["start_date"]))
    last = end or (as_of.date() if as_of else None)
    return Batch(first, last) if last else None
