"""SQL models as assets: dependencies, partitions, builds, metadata.

Belongs here: a build inside a Dagster step, from the lock to the metadata. Does not: SQL (`building`), what is stale
(`versions`, `planning`), charts (each domain draws its own).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import dagster as dg

from clm_dagster.platform.assets.model_dependencies import dependencies_of
from clm_dagster.platform.assets.node_assets import (
    as_ofs_of,
    batch_of,
    check_specs,
    day_keys,
    described,
    exposure_metadata,
    freshness_of,
    keys_of_run,
    ordered_metadata,
    partitions_of,
    run_checks,
    table_schema,
)
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.calendar import forget_snapshots
from clm_dagster.platform.build_ledger.states import changed_days, record_state
from clm_dagster.platform.build_ledger.versions import EVENTS, Builds, Version, loaded_end
from clm_dagster.platform.dbt_project.building import (
    Batch,
    ChangedDays,
    Slice,
    Snapshot,
    compile_model,
    count_customers,
    materialize,
    snapshot_slices,
    time_column,
)
from clm_dagster.platform.dbt_project.lineage import column_lineage
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project
from clm_dagster.platform.executors import warehouse_pool
from clm_dagster.platform.job_names import job_of
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.partitions import as_of_of_key, missing_days, parse_day, span
from clm_dagster.platform.resources import run_warehouse, warehouse_key
from clm_dagster.platform.step_costs import StepCosts
from clm_dagster.platform.user_cache import user_cache
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

# Reads the warehouse and returns a chart as markdown, or None if there is nothing to show.
Chart = Callable[[Connection], str | None]
# Reads the warehouse and returns additional metadata for the UI.
Facts = Callable[[Connection], Mapping[str, Any]]


@dataclass(frozen=True)
class Finding:
    """Result of a check: problems as sentences, and whether they fail the check or only warn."""

    problems: Sequence[str] = ()
    fails: bool = False


# Checks all rows of a model.
ModelCheck = Callable[[Connection], Finding]


@dataclass(frozen=True)
class Additions:
    """Additions of a domain to the asset of one model."""

    chart: Chart | None = None
    facts: Facts | None = None
    checks: Mapping[str, ModelCheck] = field(default_factory=dict)

    def specs(self, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
        """Return the specs of the additional checks."""
        return [
            dg.AssetCheckSpec(name, asset=key, description=(check.__doc__ or "").strip())
            for name, check in self.checks.items()
        ]

    def run_checks(self, connection: Connection, key: dg.AssetKey) -> list[dg.AssetCheckResult]:
        """Run the additional checks."""
        found = {name: check(connection) for name, check in self.checks.items()}
        return [
            dg.AssetCheckResult(
                check_name=name,
                asset_key=key,
                passed=not finding.problems,
                severity=dg.AssetCheckSeverity.ERROR if finding.fails else dg.AssetCheckSeverity.WARN,
                description="; ".join(finding.problems) or None,
            )
            for name, finding in found.items()
        ]


def model_asset(project: Project, model: Model, settings: Settings, added: Additions) -> dg.AssetsDefinition:
    """Return the asset of a SQL model."""
    key = asset_key(settings, model.relation)

    @dg.asset(
        key=key,
        deps=dependencies_of(project, model, settings),
        description=described(model.description, added.chart is not None, key),
        group_name=name_of(settings, model.dagster.get("group", model.schema)),
        owners=model.dagster.get("owners"),
        kinds={"duckdb", "sql", *model.dagster.get("kinds", ())},
        tags={
            "layer": model.schema,
            "materialized": model.materialized,
            "job": job_of(project, model),
        },
        code_version=model.code_version,
        check_specs=check_specs(model, key) + added.specs(key),
        partitions_def=partitions_of(model.partitions, settings),
        backfill_policy=dg.BackfillPolicy.single_run() if model.partitions else None,
        freshness_policy=freshness_of(_calendar(model), settings),
        metadata={
            "dagster/column_schema": table_schema(model),
            "dagster/table_name": model.relation,
            "file": str(model.path.relative_to(project.path)),
            **exposure_metadata(project, model.name),
        },
        required_resource_keys={warehouse_key(settings)},
        pool=warehouse_pool(settings, None if model.window else model.relation),
    )
    def run(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _run(context, project, model, settings, added)

    return run


def _run(
    context: dg.AssetExecutionContext,
    project: Project,
    model: Model,
    settings: Settings,
    added: Additions,
) -> dg.MaterializeResult:
    """Build the partitions of this run, run the checks, and return metadata and check results."""
    costs = StepCosts()
    key = asset_key(settings, model.relation)
    with run_warehouse(context, settings).connect(model.relation) as connection:
        keys = keys_of_run(context) or (_all_days(connection) if model.window == DAILY else [])
        built = connection.run_transaction(
            lambda: _build(connection, project, model, settings, keys, context.run.run_id),
            model.relation,
            keys if model.window else (versions.WHOLE,),
        )
        wheres = _where(model, keys, settings.end_date), _conditions(model, keys, settings.end_date)

        def look() -> tuple[list[dg.AssetCheckResult], str, dict[str, Any], str | None]:
            results = run_checks(connection, project, model, key, *wheres)
            return (
                results + added.run_checks(connection, key),
                _lacking(connection, model, keys, settings),
                dict(added.facts(connection)) if added.facts else {},
                added.chart(connection) if added.chart else None,
            )

        results, lacking, facts, chart = connection.run_reading(look)
    counts, rows, known_at = built.counts, built.rows, built.known_at
    heavy: dict[str, Any] = {"chart": dg.MetadataValue.md(chart)} if chart else {}
    heavy |= facts
    heavy |= {
        "compiled_sql": dg.MetadataValue.md(
            f"```sql\n{built.sql or compile_model(project, model, _any_piece(model))}\n```"
        ),
        "dagster/column_lineage": _lineage(project, model, settings),
    }
    every = {
        **_row_counts(rows, counts),
        **costs.metadata(),
        **({"known_at": str(known_at)} if known_at else {}),
    }
    if lacking:
        context.log.warning(lacking)
        every |= {"days_lacking": lacking}
    as_ofs = as_ofs_of(_calendar(model), counts, settings)
    metadata = ordered_metadata(context, key, counts, as_ofs, every, heavy)
    return dg.MaterializeResult(metadata=metadata, check_results=results)


@dataclass(frozen=True)
class _Built:
    """What a build has written: its last statement, the rows of each partition and of the table, their known_at."""

    sql: str
    counts: Mapping[str, int]
    rows: int | None
    known_at: datetime | None


def _build(
    connection: Connection,
    project: Project,
    model: Model,
    settings: Settings,
    keys: Sequence[str],
    run_id: str,
) -> _Built:
    """Build partitions and record them. Call this inside a transaction, which may be repeated."""
    sql = ""
    connection.execute(f"create schema if not exists {model.schema}")
    for name in model.refs:
        if project.is_python_table(name):
            connection.ensure_columns(project.nodes[name].relation, project.nodes[name].types)
    for number, piece in enumerate(_pieces(connection, project, model, keys, settings.end_date)):
        sql = compile_model(project, model, piece)
        materialize(connection, model, model.relation, sql, piece, first=number == 0)
    if model.window == DAILY:
        _forget_outside(connection, model, settings)
    if model.window == SNAPSHOT:
        forget_snapshots(connection, model.relation, time_column(model), settings)
    counts = _count(connection, model, keys, settings.end_date)
    rows = _rows(connection, model)
    return _Built(sql, counts, rows, _record(connection, project, model, counts, rows, run_id))


def _forget_outside(connection: Connection, model: Model, settings: Settings) -> None:
    """Delete days without a partition. They were built with other start and end dates of the shop."""
    start, end = span(settings)
    column = time_column(model)
    beyond = f" or {column} >= timestamp '{end} 00:00:00'" if end else ""
    connection.execute(f"delete from {model.relation} where {column} < timestamp '{start} 00:00:00'{beyond}")
    versions.forget(connection, model.relation, str(start), str(end) if end else None)


def _lacking(connection: Connection, model: Model, keys: Sequence[str], settings: Settings) -> str:
    """Return which days the newest snapshot of this run lacks; empty for other models, and where none is lacking.

    Only a snapshot that someone asks for by hand lacks days: `clm run` and the schedules wait for them.
    """
    data_end = loaded_end(connection) if model.window == SNAPSHOT else None
    return missing_days(keys[-1], data_end, settings) if data_end else ""


def _all_days(connection: Connection) -> list[str]:
    """Return every loaded day, for a daily model without partitions."""
    stored = Builds.read(connection).keys(EVENTS)
    if not stored:
        raise dg.Failure("raw.events has no loaded day yet; materialize raw/events first, or run `clm run`")
    return day_keys(batch_of(stored))


def _pieces(
    connection: Connection, project: Project, model: Model, keys: Sequence[str], end_date: date | None
) -> Sequence[Slice]:
    """Return the slices to build one after the other: one range of days, lists of snapshots, or the whole model.

    None for a state of which no day has changed.
    """
    if model.window == DAILY:
        return [batch_of(keys)]
    if model.window == SNAPSHOT:
        as_ofs = [as_of_of_key(key, end_date) for key in keys]
        return snapshot_slices(as_ofs, count_customers(connection, project) if len(as_ofs) > 1 else 0)
    if model.materialized == "state":
        days = changed_days(connection, project, model, Builds.read(connection))
        if days is not None:
            return [ChangedDays(tuple(days))] if days else []
    return [None]


def _any_piece(model: Model) -> Slice:
    if model.window == DAILY:
        return Batch(date(2024, 1, 1), date(2024, 1, 2))
    return Snapshot(datetime(2024, 1, 1)) if model.window == SNAPSHOT else None


def _calendar(model: Model) -> str | None:
    """Return the calendar of a model's rows, also where it is built as a whole (a view over snapshots)."""
    return model.window or model.partitions


def _where(model: Model, keys: Sequence[str], end_date: date | None) -> str | None:
    """Return the SQL predicate for the rows of this run; None for all rows."""
    if not keys or not _calendar(model):
        return None
    if _calendar(model) == DAILY:
        return batch_of(keys).where(time_column(model))
    first, last = as_of_of_key(keys[0], end_date), as_of_of_key(keys[-1], end_date)
    return f"{time_column(model)} between timestamp '{first}' and timestamp '{last}'"


def _conditions(model: Model, keys: Sequence[str], end_date: date | None) -> dict[str, str]:
    """Return the SQL predicate for the rows of each partition of this run."""
    return {key: where for key in keys if (where := _where(model, [key], end_date))}


def _count(
    connection: Connection, model: Model, keys: Sequence[str], end_date: date | None
) -> dict[str, int]:
    """Return the row count of each partition of this run; empty for a model without partitions."""
    where = _where(model, keys, end_date)
    if where is None:
        return {}
    found = dict(
        connection.execute(
            f"select cast({time_column(model)} as date), count(*) from {model.relation} "
            f"where {where} group by all"
        )
    )
    if _calendar(model) == DAILY:
        return {key: found.get(parse_day(key), 0) for key in keys}
    return {key: found.get(as_of_of_key(key, end_date).date(), 0) for key in keys}


def _rows(connection: Connection, model: Model) -> int | None:
    """Return the number of rows of a table; None for a view, which would run completely to be counted."""
    if model.materialized == "view":
        return None
    return int(connection.scalar(f"select count(*) from {model.relation}"))


def _row_counts(rows: int | None, counts: Mapping[str, int]) -> dict[str, int]:
    """Return the row counts as metadata."""
    of_run = sum(counts.values()) if counts else rows
    found = {"dagster/row_count": rows, "rows_of_this_run": of_run}
    return {name: count for name, count in found.items() if count is not None}


def _record(
    connection: Connection,
    project: Project,
    model: Model,
    counts: Mapping[str, int],
    rows: int | None,
    run_id: str,
) -> datetime | None:
    """Write the build ledger in the transaction of the build; return the latest known_at of the inputs.

    A view has no rows of its own, so only its code version is stored.
    """
    if model.materialized == "state":
        builds = Builds.read(connection)
        return record_state(connection, project, model, builds, rows or 0, run_id).known_at
    built: Mapping[str, int | None] = counts if model.window else {versions.WHOLE: rows}
    if model.materialized == "view":
        expected = {versions.WHOLE: Version(model.code_version)}
    else:
        expected = Builds.read(connection).expected(project, model.name, list(built))
    stored: list[tuple[str, Version, int | None]] = [
        (key, version, built[key]) for key, version in expected.items()
    ]
    versions.record(connection, model.relation, stored, run_id)
    if model.is_dated:
        versions.record_days(connection, model.relation, time_column(model), run_id)
    return max((v.known_at for v in expected.values() if v.known_at), default=None)


def _lineage(project: Project, model: Model, settings: Settings) -> dg.TableColumnLineage:
    """Return the lineage of the model's columns. It is the same for all dates, so it is computed for fixed ones."""
    sql = compile_model(project, model, _any_piece(model))
    upstream = {project.nodes[ref].relation: project.nodes[ref] for ref in model.refs}
    schema = {relation: node.types for relation, node in upstream.items()}
    # With the user, not the shop: equal SQL has equal lineage, and a new shop's first run need not compute it again.
    cache = (user_cache() or settings.data_dir / "cache") / "lineage"
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key(settings, relation), source) for relation, source in sources]
            for column, sources in column_lineage(sql, schema, cache).items()
        }
    )
