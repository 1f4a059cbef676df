"""Parts shared by all assets of relations: partitions, documentation, checks, row counts.

Belongs here: translating a node of the SQL project to Dagster. Does not: running anything except checks.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import dagster as dg

from clm_dagster.platform.charts import is_picture
from clm_dagster.platform.dbt_project.building import Batch, failing_condition, failing_rows
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Node, Project
from clm_dagster.platform.dbt_project.properties import Column, DataTest
from clm_dagster.platform.markdown import link
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.partitions import (
    as_of_of_key,
    daily_partitions,
    days_between,
    parse_day,
    snapshot_partitions,
)
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

# Limits the list of failed partitions in a message; a backfill may have hundreds.
_MAX_LISTED = 10


def partitions_of(calendar: str | None, settings: Settings) -> dg.TimeWindowPartitionsDefinition | None:
    """Return the partitions definition of a calendar."""
    if calendar == DAILY:
        return daily_partitions(settings)
    return snapshot_partitions(settings) if calendar == SNAPSHOT else None


def freshness_of(calendar: str | None, settings: Settings) -> dg.FreshnessPolicy | None:
    """Return how old an asset may become; None for a historical source, which never changes."""
    if not settings.is_live:
        return None
    day = timedelta(days=1)
    if calendar == SNAPSHOT:
        return dg.FreshnessPolicy.time_window(fail_window=9 * day, warn_window=8 * day)
    return dg.FreshnessPolicy.time_window(fail_window=2 * day, warn_window=1.25 * day)


def table_schema(node: Node) -> dg.TableSchema:
    """Return the documented columns with constraints and tags."""
    unique = [test.column for test in node.tests if test.kind == "unique"]
    return dg.TableSchema(
        columns=[_column(column) for column in node.columns],
        constraints=dg.TableConstraints(other=[f"one row per {column}" for column in unique]),
    )


def _column(column: Column) -> dg.TableColumn:
    kinds = {test.kind: test for test in column.tests}
    other = []
    if "accepted_values" in kinds:
        other.append(f"one of {', '.join(map(str, kinds['accepted_values'].arguments['values']))}")
    if "relationships" in kinds:
        other.append(f"in {kinds['relationships'].related}.{kinds['relationships'].arguments['field']}")
    return dg.TableColumn(
        column.name,
        (column.data_type or "unknown").upper(),
        description=column.description,
        tags={"pii": column.meta["pii"]} if "pii" in column.meta else {},
        constraints=dg.TableColumnConstraints(
            nullable="not_null" not in kinds, unique="unique" in kinds, other=other
        ),
    )


def exposure_metadata(project: Project, name: str) -> dict[str, Any]:
    """Return the exposures that read a node as metadata; empty where there is none."""
    lines = [
        f"- **{exposure.label}** ({exposure.kind}, {exposure.owner}): {exposure.description}"
        for exposure in project.exposures_of(name)
    ]
    return {"used_for": dg.MetadataValue.md("\n".join(lines))} if lines else {}


def spec_without_step(
    node: Node, settings: Settings, deps: Sequence[dg.AssetKey], written_with: str
) -> dg.AssetSpec:
    """Return the asset spec of a table of models whose rows other assets write. written_with: a tag that says which."""
    return dg.AssetSpec(
        key=asset_key(settings, node.relation),
        deps=deps,
        description=node.description,
        group_name=name_of(settings, node.dagster.get("group", node.schema)),
        owners=node.dagster.get("owners"),
        kinds={"duckdb", "python", "mlflow"},
        tags={"layer": node.schema, "materialized": written_with},
        partitions_def=partitions_of(SNAPSHOT, settings),
        metadata={"dagster/column_schema": table_schema(node), "dagster/table_name": node.relation},
    )


def check_specs(node: Node, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return one check per data test of the asset `key`. Checks of severity `error` block downstream assets."""
    return [
        dg.AssetCheckSpec(
            test.name,
            asset=key,
            description=f"dbt data test `{test.kind}` on {test.column}.",
            blocking=test.severity == "error",
        )
        for test in node.all_tests
    ]


def run_checks(
    connection: Connection,
    project: Project,
    node: Node,
    key: dg.AssetKey,
    where: str | None,
    partitions: Mapping[str, str] | None = None,
) -> list[dg.AssetCheckResult]:
    """Run the data tests of a node, whose asset is `key`.

    where: SQL predicate for the rows to test; None for all rows. partitions: partition key -> predicate. A failed
    test lists the partitions in which it fails. Tests share one pass over the rows where they can: a view is computed
    for each query.
    """
    counts = _count_failing_rows(connection, node, where)
    return [
        _check(connection, project, node, key, test, where, partitions or {}, counts.get(test.name))
        for test in node.all_tests
    ]


def _rows(node: Node, condition: str | None) -> str:
    return f"(select * from {node.relation} where {condition})" if condition else node.relation


def _count_failing_rows(connection: Connection, node: Node, where: str | None) -> dict[str, int]:
    """Return the number of failing rows of each test that one pass over the rows decides.

    These are the tests of single rows and, of a view, the unique columns without a repeated value.
    """
    counts = {
        test.name: f"count(*) filter (where {condition})"
        for test in node.all_tests
        if (condition := failing_condition(test)) is not None
    }
    if isinstance(node, Model) and node.materialized == "view":
        unique = {test.name: str(test.column) for test in node.all_tests if test.kind == "unique"}
    else:
        unique = {}
    counts |= {name: f"count({column}) - count(distinct {column})" for name, column in unique.items()}
    if not counts:
        return {}
    values = connection.execute(f"select {', '.join(counts.values())} from {_rows(node, where)}")[0]
    found = dict(zip(counts, values, strict=True))
    return {name: count for name, count in found.items() if not (count and name in unique)}


def _check(
    connection: Connection,
    project: Project,
    node: Node,
    key: dg.AssetKey,
    test: DataTest,
    where: str | None,
    partitions: Mapping[str, str],
    counted: int | None,
) -> dg.AssetCheckResult:
    """Run a data test. counted: its number of failing rows where it is known."""

    def query(condition: str | None) -> str:
        return failing_rows(test, _rows(node, condition), lambda name: project.nodes[name].relation)

    sql = query(where)
    rows = int(connection.scalar(sql)) if counted is None else counted
    failed = [name for name, condition in partitions.items() if rows and connection.scalar(query(condition))]
    description = None
    if failed and len(partitions) > 1:
        shown = ", ".join(failed[:_MAX_LISTED]) + (", ..." if len(failed) > _MAX_LISTED else "")
        description = f"failed in {len(failed)} of {len(partitions)} partitions: {shown}"
    return dg.AssetCheckResult(
        check_name=test.name,
        asset_key=key,
        passed=rows == 0,
        severity=dg.AssetCheckSeverity[test.severity.upper()],
        description=description,
        metadata={
            "failing_rows": rows,
            **({"failed_partitions": failed} if failed else {}),
            "query": dg.MetadataValue.md(f"```sql\n{sql}\n```"),
        },
    )


def keys_of_run(context: dg.AssetExecutionContext) -> list[str]:
    """Return the partition keys of this step; for an unpartitioned asset, the range of its run."""
    if context.assets_def.partitions_def is not None:
        return list(context.partition_keys)
    tags = context.run.tags
    first = tags.get("dagster/asset_partition_range_start", tags.get("dagster/partition"))
    last = tags.get("dagster/asset_partition_range_end", first)
    if first is None or last is None:
        return []
    return day_keys(batch_of([first, last]))


def batch_of(keys: Sequence[str]) -> Batch:
    """Return consecutive daily keys as a range of days."""
    return Batch(parse_day(keys[0]), parse_day(keys[-1]) + timedelta(days=1))


def day_keys(batch: Batch) -> list[str]:
    """Return the daily keys of a range of days."""
    return [day.isoformat() for day in days_between(batch.start, batch.end)]


def count_by_day(connection: Connection, relation: str, column: str, batch: Batch) -> dict[str, int]:
    """Return the row count of each day of a batch."""
    found = dict(
        connection.execute(
            f"select cast(cast({column} as date) as varchar), count(*) from {relation} "
            f"where {batch.where(column)} group by all"
        )
    )
    return {key: found.get(key, 0) for key in day_keys(batch)}


def described(description: str, has_pictures: bool, key: dg.AssetKey) -> str:
    """Return the description of an asset; with pictures, it says where the newest one is, with a link.

    The UI shows a picture only at a click, and its page has the metadata below all columns.
    """
    if not has_pictures:
        return description
    events = "/".join(("/assets", *map(quote, key.path)))
    newest = link("Newest chart", f"{events}?view=events")
    return f"{description}\n\n{newest}: the first entry of the metadata."


def ordered_metadata(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    counts: Mapping[str, int],
    as_ofs: Mapping[str, str],
    every: Mapping[str, Any],
    last: Mapping[str, Any],
) -> dict[str, Any]:
    """Add metadata to the event of each partition; return those of an asset without partitions.

    counts, as_ofs: row count, and as_of of a snapshot, by partition. every: for all events of this step. last: only for
    the last partition. Dagster stores one event per partition: a chart in each of a thousand events would inflate its
    storage. Pictures come first, since the UI shows entries in this order.
    """
    pictures = {name: value for name, value in last.items() if is_picture(value)}
    rest = {name: value for name, value in last.items() if name not in pictures}
    if context.assets_def.partitions_def is None:
        return {**pictures, **every, **rest}
    newest = list(counts)[-1] if counts else None
    for partition, count in counts.items():
        shown = partition == newest
        metadata = {
            **(pictures if shown else {}),
            **({"as_of": as_ofs[partition]} if partition in as_ofs else {}),
            "dagster/partition_row_count": count,
            **every,
            **(rest if shown else {}),
        }
        context.add_asset_metadata(metadata, asset_key=key, partition_key=partition)
    return {}


def as_ofs_of(calendar: str | None, keys: Iterable[str], settings: Settings) -> dict[str, str]:
    """Return the as_of of each snapshot key as text; empty for another calendar."""
    if calendar != SNAPSHOT:
        return {}
    return {key: str(as_of_of_key(key, settings.end_date).date()) for key in keys}
