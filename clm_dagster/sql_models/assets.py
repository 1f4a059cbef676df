"""Models and seeds as Dagster assets: dependencies, docs, lineage, checks, partitions.

Belongs here: the translation. Does not: SQL execution (`building`), charts (each room has its own
and hands them in by asset key).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from clm_dagster.partitions import (
    all_days_before,
    as_of_of_key,
    daily_partitions,
    parse_day,
    snapshot_partitions,
)
from clm_dagster.settings import Settings
from clm_dagster.sql_models import versions
from clm_dagster.sql_models.building import (
    Batch,
    Slice,
    Snapshot,
    compile_model,
    failing_rows,
    load_seed,
    materialize,
    time_column,
)
from clm_dagster.sql_models.lineage import column_lineage
from clm_dagster.sql_models.project import DAILY, SNAPSHOT, DataTest, Model, Node, Project, Seed, Source
from clm_dagster.sql_models.versions import Builds, Version
from clm_dagster.warehouse import Connection, Warehouse

# A chart: reads its relation (all of it) and returns markdown with a picture, or None for nothing to show.
Chart = Callable[[Connection], str | None]
# Looks at a seed's new rows and says what is wrong with them.
SeedCheck = Callable[[Connection, str], list[str]]


@dataclass(frozen=True)
class Extras:
    """What rooms add to the assets of models: charts by relation, checks of seeds by name."""

    charts: Mapping[str, Chart] = field(default_factory=dict)
    seed_checks: Mapping[str, Mapping[str, SeedCheck]] = field(default_factory=dict)


def asset_key(node: Node) -> dg.AssetKey:
    """`[schema, name]`."""
    return dg.AssetKey([node.schema, node.name])


def sql_assets(project: Project, settings: Settings, extras: Extras) -> list[dg.AssetsDefinition]:
    """One asset for each model and each seed."""
    seeds = [_seed_asset(project, seed, extras) for seed in project.seeds.values()]
    models = [_model_asset(project, model, settings, extras) for model in project.models.values()]
    return seeds + models


# ------------------------------------------------------------------------ shared with other rooms


def partitions_of(calendar: str | None, settings: Settings) -> dg.TimeWindowPartitionsDefinition | None:
    """The partitions definition of a calendar."""
    if calendar == DAILY:
        return daily_partitions(settings)
    return snapshot_partitions(settings) if calendar == SNAPSHOT else None


def freshness_of(calendar: str | None, settings: Settings) -> dg.FreshnessPolicy | None:
    """How old an asset may grow. A historical source is as fresh as it will ever be: no policy."""
    if not settings.is_live:
        return None
    day = timedelta(days=1)
    if calendar == SNAPSHOT:
        return dg.FreshnessPolicy.time_window(fail_window=9 * day, warn_window=8 * day)
    return dg.FreshnessPolicy.time_window(fail_window=2 * day, warn_window=1.25 * day)


def table_schema(node: Node) -> dg.TableSchema:
    """Documented columns with constraints and tags."""
    whole = [test for test in node.tests if test.kind == "unique"]
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                (column.data_type or "unknown").upper(),
                description=column.description,
                tags={"pii": column.meta["pii"]} if "pii" in column.meta else {},
                constraints=dg.TableColumnConstraints(
                    nullable=not any(t.kind == "not_null" for t in column.tests),
                    unique=any(t.kind == "unique" for t in column.tests),
                    other=[
                        f"one of {', '.join(map(str, t.arguments['values']))}"
                        for t in column.tests
                        if t.kind == "accepted_values"
                    ],
                ),
            )
            for column in node.columns
        ],
        constraints=dg.TableConstraints(other=[f"one row per {t.column}" for t in whole]),
    )


def check_specs(node: Node) -> list[dg.AssetCheckSpec]:
    """One check for each data test; those of severity `error` block what comes after."""
    return [
        dg.AssetCheckSpec(
            test.name,
            asset=asset_key(node),
            description=f"dbt data test {test.kind} on {test.column}.",
            blocking=test.severity == "error",
        )
        for test in node.all_tests
    ]


def run_checks(
    connection: Connection, project: Project, node: Node, where: str | None
) -> list[dg.AssetCheckResult]:
    """Run a node's data tests on the rows that a condition holds for."""
    relation = f"(select * from {node.relation} where {where})" if where else node.relation
    return [_check(connection, project, node, test, relation) for test in node.all_tests]


def _check(
    connection: Connection, project: Project, node: Node, test: DataTest, relation: str
) -> dg.AssetCheckResult:
    sql = failing_rows(test, relation, lambda name: project.nodes[name].relation)
    failing = int(connection.scalar(sql))
    return dg.AssetCheckResult(
        check_name=test.name,
        asset_key=asset_key(node),
        passed=failing == 0,
        severity=dg.AssetCheckSeverity[test.severity.upper()],
        metadata={"failing_rows": failing, "query": dg.MetadataValue.md(f"```sql\n{sql}\n```")},
    )


def keys_of_run(context: dg.AssetExecutionContext) -> list[str]:
    """Partition keys of this step; of an asset without partitions, the range its run is for."""
    if context.has_partition_key or context.assets_def.partitions_def is not None:
        return list(context.partition_keys)
    tags = context.run.tags
    first = tags.get("dagster/asset_partition_range_start", tags.get("dagster/partition"))
    last = tags.get("dagster/asset_partition_range_end", first)
    if first is None or last is None:
        return []
    start, end = parse_day(first), parse_day(last)
    return [(start + timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]


def batch_of(keys: Sequence[str]) -> Batch:
    """Consecutive daily keys as a range of days."""
    return Batch(parse_day(keys[0]), parse_day(keys[-1]) + timedelta(days=1))


def count_by_day(connection: Connection, relation: str, column: str, batch: Batch) -> dict[str, int]:
    """Rows of each day of a batch, zero where there is none."""
    found = dict(
        connection.execute(
            f"select cast(cast({column} as date) as varchar), count(*) from {relation} "
            f"where {batch.where(column)} group by all"
        )
    )
    days = (batch.end - batch.start).days
    keys = [(batch.start + timedelta(days=n)).isoformat() for n in range(days)]
    return {key: found.get(key, 0) for key in keys}


def add_partition_metadata(
    context: dg.AssetExecutionContext, key: dg.AssetKey, counts: Mapping[str, int], last: dict[str, Any]
) -> dict[str, Any]:
    """Row counts go to each partition's event, the heavy rest only to the last one's.

    An event is stored for every partition: a chart in each of a thousand would swell Dagster's
    store. Returns what is left for an asset without partitions.
    """
    if context.assets_def.partitions_def is None:
        return last
    for partition, count in counts.items():
        extra = last if partition == list(counts)[-1] else {}
        context.add_asset_metadata(
            {"dagster/partition_row_count": count, **extra}, asset_key=key, partition_key=partition
        )
    return {}


# ------------------------------------------------------------------------------------- seeds


def _seed_asset(project: Project, seed: Seed, extras: Extras) -> dg.AssetsDefinition:
    key = asset_key(seed)
    more = extras.seed_checks.get(seed.name, {})
    specs = check_specs(seed) + [
        dg.AssetCheckSpec(name, asset=key, description=(check.__doc__ or "").strip(), blocking=True)
        for name, check in more.items()
    ]

    @dg.asset(
        key=key,
        description=seed.description,
        group_name=seed.dagster.get("group", seed.schema),
        owners=seed.dagster.get("owners"),
        kinds={"duckdb", "csv"},
        tags={"layer": "seed"},
        code_version=seed.code_version,
        check_specs=specs,
        metadata={"dagster/column_schema": table_schema(seed), "dagster/table_name": seed.relation},
    )
    def load(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
        start = time.perf_counter()
        refused: list[str] = []
        with warehouse.connect(seed.relation) as connection:
            connection.execute("begin transaction")
            load_seed(connection, seed, seed.relation)
            for name, check in more.items():
                problems = check(connection, seed.relation)
                refused += problems
                yield dg.AssetCheckResult(
                    check_name=name,
                    passed=not problems,
                    metadata={"problems": dg.MetadataValue.md("\n".join(f"- {p}" for p in problems))},
                )
            if refused:
                connection.execute("rollback")
                raise dg.Failure(
                    f"{seed.path} is refused and the rows there were before are kept: " + "; ".join(refused)
                )
            connection.execute("commit")
            results = run_checks(connection, project, seed, None)
            rows = connection.frame(f"select * from {seed.relation} limit 50")
            count = connection.scalar(f"select count(*) from {seed.relation}")
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": count,
                "seconds": round(time.perf_counter() - start, 3),
                "rows": dg.MetadataValue.md(_markdown(list(rows.columns), rows.to_numpy().tolist())),
            },
            check_results=results,
        )

    return load


def _markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


# ------------------------------------------------------------------------------------- models


def _model_asset(project: Project, model: Model, settings: Settings, extras: Extras) -> dg.AssetsDefinition:
    key = asset_key(model)

    @dg.asset(
        key=key,
        deps=[_dependency(project, model, ref, settings) for ref in model.refs],
        description=f"{model.description}\n\n```sql\n{model.sql.strip()}\n```",
        group_name=model.dagster.get("group", model.schema),
        owners=model.dagster.get("owners"),
        kinds={"duckdb", "sql", *model.dagster.get("kinds", ())},
        tags={"layer": model.schema, "materialized": model.materialized},
        code_version=model.code_version,
        check_specs=check_specs(model),
        partitions_def=partitions_of(model.partitions, settings),
        backfill_policy=dg.BackfillPolicy.single_run() if model.partitions else None,
        freshness_policy=freshness_of(model.window or model.partitions, settings),
        metadata={
            "dagster/column_schema": table_schema(model),
            "dagster/table_name": model.relation,
            "file": str(model.path.relative_to(project.path)),
        },
    )
    def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
        return run_model(context, warehouse, project, model, settings, extras)

    return run


def _dependency(project: Project, model: Model, ref: str, settings: Settings) -> dg.AssetDep:
    upstream = project.nodes[ref]
    calendar = upstream.partitions if isinstance(upstream, Model) else None
    if isinstance(upstream, Source) and ref == "raw.events":
        calendar = DAILY
    if calendar == DAILY and model.partitions == SNAPSHOT:
        return dg.AssetDep(asset_key(upstream), partition_mapping=all_days_before(settings))
    return dg.AssetDep(asset_key(upstream))


def run_model(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    project: Project,
    model: Model,
    settings: Settings,
    extras: Extras,
) -> dg.MaterializeResult:
    """Build a model's partitions of this run, check them, and say what happened."""
    start = time.perf_counter()
    keys = keys_of_run(context)
    with warehouse.connect(model.relation) as connection:
        if model.window == DAILY and not keys:
            keys = _all_days(connection)
        pieces = _pieces(model, keys)
        sql = ""
        with connection.transaction():
            for piece in pieces:
                sql = compile_model(project, model, piece)
                materialize(connection, model, model.relation, sql, piece)
            counts = _record(connection, project, model, keys, context.run.run_id)
        results = run_checks(connection, project, model, _where(model, keys))
        chart = extras.charts[model.relation](connection) if model.relation in extras.charts else None
        known_at = _known_at(connection, project, model, keys)
        rows = connection.scalar(f"select count(*) from {model.relation}")
    heavy: dict[str, Any] = {
        "compiled_sql": dg.MetadataValue.md(f"```sql\n{sql}\n```"),
        "dagster/column_lineage": _lineage(project, model, sql, settings.data_dir / "cache" / "lineage"),
    }
    if chart:
        heavy["chart"] = dg.MetadataValue.md(chart)
    rest = add_partition_metadata(context, asset_key(model), counts, heavy)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "rows_of_this_run": sum(counts.values()) if counts else rows,
            "seconds": round(time.perf_counter() - start, 3),
            **({"known_at": str(known_at)} if known_at else {}),
            **rest,
        },
        check_results=results,
    )


def _all_days(connection: Connection) -> list[str]:
    """Every day that is loaded: what a daily model without partitions is built over as a whole."""
    stored = Builds.read(connection).keys("raw.events")
    if not stored:
        raise dg.Failure("raw.events has no day yet; materialize raw/events first, or `clm run`")
    first, last = date.fromisoformat(stored[0]), date.fromisoformat(stored[-1])
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def _pieces(model: Model, keys: Sequence[str]) -> list[Slice]:
    if model.materialized == "microbatch":
        return [batch_of(keys)]
    if model.materialized == "snapshot":
        return [Snapshot(as_of_of_key(key)) for key in keys]
    return [None]


def _where(model: Model, keys: Sequence[str]) -> str | None:
    """The rows of this run, for its checks."""
    if not keys or not (model.window or model.partitions):
        return None
    if model.window == DAILY:
        return batch_of(keys).where(time_column(model))
    first, last = as_of_of_key(keys[0]), as_of_of_key(keys[-1])
    return f"{time_column(model)} between timestamp '{first}' and timestamp '{last}'"


def _record(
    connection: Connection, project: Project, model: Model, keys: Sequence[str], run_id: str
) -> dict[str, int]:
    """Write the ledger of builds, in the transaction of the build; returns rows by partition."""
    counts: dict[str, int] = {}
    if model.window == DAILY:
        counts = count_by_day(connection, model.relation, time_column(model), batch_of(keys))
    elif keys and (model.window or model.partitions):
        found = dict(
            connection.execute(
                f"select cast({time_column(model)} as date), count(*) from {model.relation} "
                f"where {_where(model, keys)} group by all"
            )
        )
        counts = {key: found.get(as_of_of_key(key).date(), 0) for key in keys}
    if model.materialized == "view":
        # A view's rows are as new as what it reads: its code is all that is stored of it.
        view = [(versions.WHOLE, Version(model.code_version), 0)]
        versions.record(connection, model.relation, view, run_id)
        return counts
    builds = Builds.read(connection)
    if not model.window:
        expected = builds.expected(project, model.name, [versions.WHOLE])
        total = connection.scalar(f"select count(*) from {model.relation}")
        versions.record(connection, model.relation, [(k, v, total) for k, v in expected.items()], run_id)
        return counts
    expected = builds.expected(project, model.name, list(counts))
    versions.record(connection, model.relation, [(k, v, counts[k]) for k, v in expected.items()], run_id)
    return counts


def _known_at(connection: Connection, project: Project, model: Model, keys: Sequence[str]) -> object | None:
    stored = Builds.read(connection)
    found = [stored.stored(model.relation, key) for key in (keys or [versions.WHOLE])]
    known = [version.known_at for version in found if version and version.known_at]
    return max(known) if known else None


def _lineage(project: Project, model: Model, sql: str, cache: Path) -> dg.TableColumnLineage:
    upstream = {project.nodes[ref].relation: project.nodes[ref] for ref in model.refs}
    schema = {
        relation: {column.name: column.data_type or "VARCHAR" for column in node.columns}
        for relation, node in upstream.items()
    }
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key(upstream[relation]), source) for relation, source in sources]
            for column, sources in column_lineage(sql, schema, cache).items()
        }
    )
