"""Tables that Python writes, a snapshot at a time: models that are trained, and what they say.

Belongs here: their versions, their atomic replacement, their assets. Does not: what a room computes.

Such a table is documented as a dbt source, in a YAML file of its own in `dbt_like_sql/models`, so that SQL can read
it. A step holds the warehouse while it reads and while it writes, and not while it computes between.
"""

import hashlib
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import dagster as dg
import pandas as pd

from clm_dagster.platform.assets.node_assets import (
    add_partition_metadata,
    asset_key,
    check_specs,
    freshness_of,
    partitions_of,
    run_checks,
    table_schema,
)
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import ABSENT, Builds, Version
from clm_dagster.platform.dbt_project.building import Snapshot
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Node, Project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.partitions import WEEK, all_days_before, as_of_of_key, parse_day
from clm_dagster.platform.python_tables.parquet_buffer import Spill
from clm_dagster.platform.warehouse import Connection, Warehouse
from clm_dagster.settings import Settings

# What a snapshot of a table is made of.
Rows = pd.DataFrame | Spill


@dataclass(frozen=True)
class FrameTable:
    """A table that Python writes by snapshots: `models.*` are trained models, the others scores.

    `reads` are nodes of the project, read at the same snapshot. `model` is the trained table it reads:
    a score reads its newest row at or before as_of, a trained table (that names itself, because it carries
    something over from one training to the next) the newest before it. `weeks_back` are earlier snapshots
    of the same nodes that are read as well, those that there are.
    """

    node: Node
    reads: tuple[str, ...]
    code_version: str
    model: Node | None = None
    weeks_back: tuple[int, ...] = ()

    @property
    def relation(self) -> str:
        """`schema.name`."""
        return self.node.relation

    @property
    def is_trained(self) -> bool:
        """Whether its rows are models."""
        return self.node.schema == "models"

    def model_key(self, builds: Builds, key: str) -> str | None:
        """The snapshot whose model is read at this one; None where none was trained by then."""
        if self.model is None:
            return None
        trained = [
            k for k in builds.keys(self.model.relation) if k < key or (k == key and not self.is_trained)
        ]
        return trained[-1] if trained else None

    def earlier_keys(self, key: str) -> list[str]:
        """The earlier snapshots that are read, in order."""
        return sorted((parse_day(key) - weeks * WEEK).isoformat() for weeks in self.weeks_back)

    def expected(self, project: Project, builds: Builds, key: str) -> Version:
        """The version the snapshot would have if it were computed now."""
        parts = [Version(self.code_version)]
        parts += [builds.input_version(project, name, SNAPSHOT, key) for name in self.reads]
        parts += [
            builds.stored(project.nodes[name].relation, earlier) or ABSENT
            for name in self.reads
            if calendar_of(project.nodes[name]) == SNAPSHOT
            for earlier in self.earlier_keys(key)
        ]
        if self.model is not None:
            found = self.model_key(builds, key)
            stored = builds.stored(self.model.relation, found) if found else None
            parts += [Version(found or ""), stored or ABSENT]
        return versions.combine(parts)

    def is_stale(self, project: Project, builds: Builds, key: str) -> bool:
        """Whether the snapshot is missing, or was computed from other inputs or code than there are now."""
        stored = builds.stored(self.relation, key)
        return stored is None or stored.hash != self.expected(project, builds, key).hash


def frame_table(
    project: Project,
    name: str,
    reads: Sequence[str],
    code: Sequence[ModuleType | Callable[..., Any]],
    model: str | None = None,
    weeks_back: Sequence[int] = (),
    chosen: object = None,
) -> FrameTable:
    """The table that the project documents as the source `name`; its version follows `code`.

    `chosen` are settings that decide its rows: the version follows their text too. Raises ProjectError for a
    name that is not documented, or not as `partitions: snapshot`.
    """
    for known in (name, *reads, *([model] if model else [])):
        if known not in project.nodes:
            raise ProjectError(f"{name}: there is no model, seed or source {known!r}")
    node = project.nodes[name]
    if node.dagster.get("partitions") != SNAPSHOT:
        raise ProjectError(f"{node.path}: {name} is written by Python and needs partitions: snapshot")
    parts = [*map(inspect.getsource, code), str([(c.name, c.data_type) for c in node.columns])]
    parts += [str(chosen)] if chosen is not None else []
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    trained = project.nodes[model] if model else None
    return FrameTable(node, tuple(reads), digest, trained, tuple(weeks_back))


def calendar_of(node: Node) -> str | None:
    """What a node's stored rows go by: `daily`, `snapshot` or nothing."""
    return node.window if isinstance(node, Model) else node.dagster.get("partitions")


def write_rows(
    connection: Connection, table: FrameTable, key: str, rows: Rows, version: Version, run_id: str
) -> None:
    """Replace a snapshot's rows and its row in the ledger in one transaction; as_of is filled in."""
    as_of = as_of_of_key(key)
    relation, types, where = table.relation, table.node.types, Snapshot(as_of).where("as_of")
    with connection.transaction():
        if isinstance(rows, Spill):
            query = f"select *, timestamp '{as_of}' as as_of from ({rows.query})"
            connection.replace_typed(relation, query, [*rows.types, "as_of"], types, where)
        else:
            connection.replace_with_frame(relation, rows.assign(as_of=pd.Timestamp(as_of)), types, where)
        versions.record(connection, relation, [(key, version, len(rows))], run_id)


def row_types(node: Node) -> dict[str, str]:
    """Column -> type of what is computed for a snapshot: the table's, without as_of."""
    return {name: kind for name, kind in node.types.items() if name != "as_of"}


@dataclass(frozen=True)
class Request:
    """One snapshot that is to be computed.

    `model_key` is the snapshot of the model it reads, if there is one; `version` that of its inputs as they
    are read; `is_newest` says that no later snapshot of the table is stored.
    """

    key: str
    model_key: str | None
    version: Version
    is_newest: bool


@dataclass(frozen=True)
class Computed:
    """What a room computed: rows without as_of, metadata of the snapshot, results of its own checks."""

    rows: Rows
    metadata: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[dg.AssetCheckResult] = ()


# Reads all that is needed, holding the warehouse.
Read = Callable[[Connection, Request], Any]
# Computes from that, not holding it.
Compute = Callable[[dg.AssetExecutionContext, Request, Any], Computed]


def frame_asset(
    project: Project,
    settings: Settings,
    table: FrameTable,
    read: Read,
    compute: Compute,
    checks: Sequence[dg.AssetCheckSpec] = (),
) -> dg.AssetsDefinition:
    """The asset of a table that Python writes, with the project's docs, columns and data tests.

    Several snapshots are computed one after the other in the order of as_of. `checks` are the
    room's own; `compute` gives their results.
    """
    node = table.node

    @dg.asset(
        key=asset_key(node),
        deps=_dependencies(project, settings, table),
        description=node.description,
        group_name=node.dagster.get("group", node.schema),
        owners=node.dagster.get("owners"),
        kinds={"duckdb", "python", *({"mlflow"} if table.is_trained else ())},
        tags={"layer": node.schema, "materialized": "python"},
        code_version=table.code_version,
        check_specs=[*check_specs(node), *checks],
        partitions_def=partitions_of(SNAPSHOT, settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=None if table.is_trained else freshness_of(SNAPSHOT, settings),
        metadata={"dagster/column_schema": table_schema(node), "dagster/table_name": table.relation},
        required_resource_keys={"warehouse", "tracking"},
    )
    def run(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _run(context, project, table, read, compute)

    return run


def _dependencies(project: Project, settings: Settings, table: FrameTable) -> list[dg.AssetDep]:
    deps = []
    for name in table.reads:
        node = project.nodes[name]
        mapping: dg.PartitionMapping | None = None
        if isinstance(node, Model) and node.partitions == DAILY:
            mapping = all_days_before(settings)
        elif table.weeks_back and calendar_of(node) == SNAPSHOT:
            mapping = dg.TimeWindowPartitionMapping(start_offset=-max(table.weeks_back))
        deps.append(dg.AssetDep(asset_key(node), partition_mapping=mapping))
    if table.model is not None and not table.is_trained:
        weeks = all_days_before(settings).start_offset // WEEK.days
        earlier = dg.TimeWindowPartitionMapping(start_offset=weeks)
        deps.append(dg.AssetDep(asset_key(table.model), partition_mapping=earlier))
    return deps


def _request(project: Project, table: FrameTable, builds: Builds, key: str) -> Request:
    for name in table.reads:
        node = project.nodes[name]
        if calendar_of(node) == SNAPSHOT and builds.stored(node.relation, key) is None:
            raise dg.Failure(
                f"{table.relation} {key}: {node.relation} has no such snapshot yet; materialize "
                f"{asset_key(node).to_user_string()} for {key} first, or `clm run`"
            )
    newest = all(stored <= key for stored in builds.keys(table.relation))
    return Request(key, table.model_key(builds, key), table.expected(project, builds, key), newest)


def _run(
    context: dg.AssetExecutionContext, project: Project, table: FrameTable, read: Read, compute: Compute
) -> dg.MaterializeResult:
    start = time.perf_counter()
    warehouse: Warehouse = context.resources.warehouse
    counts: dict[str, int] = {}
    for key in context.partition_keys:
        with warehouse.connect(f"{table.relation} {key}") as connection:
            builds = Builds.read(connection)
            request = _request(project, table, builds, key)
            given = read(connection, request)
        context.log.info(f"{table.relation} {key}: computing")
        computed = compute(context, request, given)
        with warehouse.connect(f"{table.relation} {key}") as connection:
            write_rows(connection, table, key, computed.rows, request.version, context.run.run_id)
            results = run_checks(connection, project, table.node, Snapshot(as_of_of_key(key)).where("as_of"))
            rows = connection.scalar(f"select count(*) from {table.relation}")
        counts[key] = len(computed.rows)
    add_partition_metadata(context, asset_key(table.node), counts, dict(computed.metadata))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "rows_of_this_run": sum(counts.values()),
            "seconds": round(time.perf_counter() - start, 3),
        },
        check_results=[*results, *computed.checks],
    )
