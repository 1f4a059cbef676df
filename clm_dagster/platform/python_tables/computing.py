"""The parts of a step that computes snapshots of a Python table.

Belongs here: reading, computing, writing and reporting a snapshot. Does not: which steps there are (`assets`,
`shard_steps`), versions (`tables`), the computation itself (the domains).
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from clm_dagster.platform.assets.node_assets import as_ofs_of, ordered_metadata, run_checks
from clm_dagster.platform.build_ledger.calendar import forget_snapshots
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import SNAPSHOT, Project
from clm_dagster.platform.late_functions import import_late
from clm_dagster.platform.naming import asset_key
from clm_dagster.platform.partitions import as_of_of_key, snapshot_label
from clm_dagster.platform.python_tables.check_results import join_results
from clm_dagster.platform.python_tables.in_shards import in_one_step
from clm_dagster.platform.python_tables.output import TableOutput, write_output
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading, Work
from clm_dagster.platform.python_tables.shards import Sharding
from clm_dagster.platform.python_tables.tables import AnyTable, calendar_of
from clm_dagster.platform.resources import run_tracking, run_warehouse
from clm_dagster.platform.step_costs import StepCosts
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings


def partition_of(
    project: Project, settings: Settings, table: AnyTable, builds: Builds, key: str
) -> PartitionContext:
    """Return the snapshot to compute. Raise dg.Failure if a table that is read does not have it."""
    label = snapshot_label(key, settings.end_date)
    for name in table.reads:
        node = project.nodes[name]
        if calendar_of(node) == SNAPSHOT and builds.stored(node.relation, key) is None:
            raise dg.Failure(
                f"{table.relation} {label}: {node.relation} does not have this snapshot yet; materialize "
                f"{asset_key(settings, node.relation).to_user_string()} for {key} first, or run `clm run`"
            )
    model_key = table.model_key(builds, key)
    newest = all(stored <= key for stored in builds.keys(table.relation))
    return PartitionContext(
        key=key,
        as_of=as_of_of_key(key, settings.end_date),
        model_as_of=as_of_of_key(model_key, settings.end_date) if model_key else None,
        version=table.expected(project, builds, key),
        is_newest=newest,
    )


@dataclass(frozen=True)
class Stored:
    """A snapshot that is stored. rows: their number. where: their SQL predicate. checks, metadata: of its output."""

    rows: int
    where: str
    checks: Sequence[dg.AssetCheckResult]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class TableStep:
    """A step of a run that computes snapshots of a table, or a part of one."""

    context: dg.AssetExecutionContext
    project: Project
    settings: Settings
    table: AnyTable

    def begin(self) -> None:
        """Import what computes, and forget stored snapshots of another calendar."""
        table = self.table
        import_late(table.code or (table.read, table.compute))  # before this step locks the warehouse
        warehouse = run_warehouse(self.context, self.settings)
        with warehouse.connect(table.relation) as connection:
            connection.run_transaction(partial(self._forget, connection))

    def compute(self, key: str) -> Stored:
        """Read, compute and replace a snapshot; all its shards, one after the other."""
        data_dir = self.settings.data_dir.resolve()
        with TemporaryDirectory(prefix=".rows-", suffix=".tmp", dir=data_dir) as name:
            folder = Path(name)
            partition, inputs = self.read(key, folder)
            work = self.work(partition, folder)
            return self.write(work, in_one_step(self.table.compute(work, inputs), work.buffer, work.log))

    def read(self, key: str, folder: Path) -> tuple[PartitionContext, Any]:
        """Return a snapshot and its inputs; those of several shards are files in the folder."""
        with run_warehouse(self.context, self.settings).connect(f"{self.table.relation} {key}") as connection:
            partition, inputs = connection.run_reading(partial(self._read, connection, key, folder))
        self.context.log.info(f"{self.table.relation} {partition.label}: computing")
        return partition, inputs

    def work(self, partition: PartitionContext, folder: Path) -> Work[Any]:
        """Return the argument of the computation. folder: for what passes over several shards leave for each other."""
        run = self.context.run
        return Work(
            partition=partition,
            settings=self.table.settings,
            node=self.table.node,
            code_version=self.table.code_version,
            tracking=run_tracking(self.context, self.settings),
            log=self.context.log.info,
            threads=self.settings.threads,
            data_dir=self.settings.data_dir.resolve(),
            dagster_run_id=run.root_run_id or run.run_id,
            is_shown=partition.key == self.context.partition_keys[-1],
            shelf_dir=folder,
        )

    def write(self, work: Work[Any], output: TableOutput) -> Stored:
        """Replace a snapshot, report its additional rows, and delete its checkpoints."""
        partition = work.partition
        name = f"{self.table.relation} {partition.key}"
        with run_warehouse(self.context, self.settings).connect(name) as connection:
            write_output(connection, self.table.node, partition, output, self.context.run.run_id)
        if output.when_stored is not None:
            output.when_stored()
        if work.checkpoint_dir.exists():
            shutil.rmtree(work.checkpoint_dir)
        self._report_sides(partition.key, output)
        return Stored(len(output.rows), partition.where, output.checks, output.metadata)

    def result(self, stored: Mapping[str, Stored], costs: StepCosts) -> dg.MaterializeResult:
        """Return the result of a run, with its data tests. stored: the snapshots of the run by key."""
        settings, node = self.settings, self.table.node
        asset = asset_key(settings, self.table.relation)
        counts = {key: one.rows for key, one in stored.items()}
        windows = {key: one.where for key, one in stored.items()}
        with run_warehouse(self.context, settings).connect(self.table.relation) as connection:
            where = " or ".join(windows.values())
            check = partial(run_checks, connection, self.project, node, asset, where, windows)
            results = connection.run_reading(check)
            rows = connection.scalar(f"select count(*) from {self.table.relation}")
        every = {"dagster/row_count": rows, "rows_of_this_run": sum(counts.values()), **costs.metadata()}
        as_ofs = as_ofs_of(SNAPSHOT, counts, settings)
        last = list(stored.values())[-1].metadata if stored else {}
        every_event = ordered_metadata(self.context, asset, counts, as_ofs, every, last)
        own = join_results({key: one.checks for key, one in stored.items()})
        return dg.MaterializeResult(metadata=every_event, check_results=[*results, *own])

    def _forget(self, connection: Connection) -> None:
        for stored in (self.table.node, *([self.table.model] if self.table.model else [])):
            forget_snapshots(connection, stored.relation, "as_of", self.settings)

    def _read(self, connection: Connection, key: str, folder: Path) -> tuple[PartitionContext, Any]:
        partition = partition_of(self.project, self.settings, self.table, Builds.read(connection), key)
        sharding = Sharding(self.settings.shard_customers, folder)
        return partition, self.table.read(
            Reading(connection, partition, self.table.settings, self.project, sharding)
        )

    def _report_sides(self, key: str, output: TableOutput) -> None:
        """Report additional rows to Dagster, because their asset has no step of its own."""
        for side in output.sides:
            self.context.log_event(
                dg.AssetMaterialization(
                    asset_key=asset_key(self.settings, side.node.relation),
                    partition=key,
                    metadata={
                        "as_of": str(as_of_of_key(key, self.settings.end_date).date()),
                        "model": side.owner,
                        "rows_of_this_model": len(side.rows),
                    },
                )
            )
