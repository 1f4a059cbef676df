"""A Python table as an asset of several steps: one for each shard, side by side, on any executor.

Belongs here: the steps, and what one leaves for the next. Does not: what they compute (`in_shards`, the domains), the
asset of a single step (`assets`).

read: reads the inputs into files, and decides on shards. measure[...]: one for each shard. combine: what depends on all
customers. rows[...]: one for each shard. store: replaces the snapshot in one transaction, and tests it. A step that
failed is executed again by itself. Steps leave their results in a folder of the snapshot below the data folder, which
all of them must share; only the numbers of shards go through Dagster.

A run of several snapshots computes them in the step `read`, one after the other, because a plan of actions reads the
plan before it. So does a run of a shop that one shard holds.
"""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.computing import Stored, TableStep
from clm_dagster.platform.python_tables.in_shards import AnyInShards, in_one_step
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer, write_part
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import tracking_key, warehouse_key
from clm_dagster.platform.step_costs import StepCosts
from clm_dagster.settings import Settings

_RESULT = "result"


def sharded_asset(
    project: Project,
    settings: Settings,
    table: AnyTable,
    spec: dg.AssetSpec,
    checks: Sequence[dg.AssetCheckSpec],
) -> dg.AssetsDefinition:
    """Return the asset with a step for each shard. Asset key, partitions and checks are those of a single step."""
    own = spec.key.to_python_identifier()
    resources = {warehouse_key(settings), tracking_key(settings)}
    inputs = {f"input_{place}": dep for place, dep in enumerate(spec.deps)}
    outputs = [_RESULT, *(check.get_python_identifier() for check in checks)]

    def step_of(context: dg.AssetExecutionContext) -> "_ShardStep":
        return _ShardStep(TableStep(context, project, settings, table))

    @dg.op(
        name=f"{own}__read",
        ins={name: dg.In(dg.Nothing) for name in inputs},
        out=dg.DynamicOut(int),
        required_resource_keys=resources,
    )
    def read(context: dg.AssetExecutionContext) -> Iterator[dg.DynamicOutput[int]]:
        yield from _numbered(step_of(context).read())

    @dg.op(name=f"{own}__measure", required_resource_keys=resources)
    def measure(context: dg.AssetExecutionContext, shard: int) -> int:
        return step_of(context).measure(shard)

    @dg.op(
        name=f"{own}__combine",
        out=dg.DynamicOut(int),
        required_resource_keys=resources,
    )
    def combine(context: dg.AssetExecutionContext, shards: list[int]) -> Iterator[dg.DynamicOutput[int]]:
        yield from _numbered(step_of(context).combine(len(shards)))

    @dg.op(name=f"{own}__rows", required_resource_keys=resources)
    def rows(context: dg.AssetExecutionContext, shard: int) -> int:
        return step_of(context).rows(shard)

    @dg.op(
        name=f"{own}__store",
        out={name: dg.Out(dg.Nothing) for name in outputs},
        required_resource_keys=resources,
    )
    def store(context: dg.AssetExecutionContext, shards: list[int]) -> Iterator[dg.MaterializeResult]:
        yield step_of(context).store(len(shards))

    @dg.graph(
        name=own,
        ins={name: dg.GraphIn() for name in inputs},
        out={name: dg.GraphOut() for name in outputs},
    )
    def steps(**needed: Any) -> dict[str, Any]:
        # Operations have names of their own in a code location; a step is called by its part of the asset's work.
        named = {one.name.removeprefix(f"{own}__"): one for one in (read, measure, combine, rows, store)}
        step = {name: one.alias(name) for name, one in named.items()}
        measured = step["read"](**needed).map(step["measure"]).collect()
        stored = step["store"](step["combine"](measured).map(step["rows"]).collect())
        return {name: getattr(stored, name) for name in outputs} if checks else {_RESULT: stored}

    asset = dg.AssetsDefinition.from_graph(
        steps,
        keys_by_input_name={name: dep.asset_key for name, dep in inputs.items()},
        keys_by_output_name={_RESULT: spec.key},
        partitions_def=spec.partitions_def,
        partition_mappings={
            name: dep.partition_mapping for name, dep in inputs.items() if dep.partition_mapping is not None
        },
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=checks,
    )
    return asset.map_asset_specs(
        lambda found: found.replace_attributes(
            description=spec.description,
            group_name=spec.group_name,
            owners=spec.owners,
            kinds=spec.kinds,
            tags=spec.tags,
            code_version=spec.code_version,
            freshness_policy=spec.freshness_policy,
            metadata=spec.metadata,
        )
    )


@dataclass(frozen=True)
class _ShardStep:
    """One of the steps of a snapshot."""

    step: TableStep

    @property
    def _folder(self) -> Path:
        """Folder of the snapshot and run; a run that executes failed steps again has that of the first run."""
        run = self.step.context.run
        key: str = self.step.context.partition_keys[-1]
        cache: Path = self.step.settings.data_dir.resolve() / "cache" / self.step.table.relation
        return cache / key / (run.root_run_id or run.run_id)

    def read(self) -> int:
        """Read the inputs of the snapshot, and return the number of shards: 0 if this step has computed all."""
        step, folder = self.step, self._folder
        step.begin()
        keys = step.context.partition_keys
        stored = {}
        for key in keys:
            if len(keys) == 1:
                folder.mkdir(parents=True, exist_ok=True)
                partition, inputs = step.read(key, folder)
                work = step.work(partition, folder)
                computed = step.table.compute(work, inputs)
                if not isinstance(computed, TableOutput) and computed.shards > 1:
                    self._put("inputs", (partition, inputs))
                    return computed.shards
                stored[key] = step.write(work, in_one_step(computed))
            else:
                stored[key] = step.compute(key)
        # Written after the rows, whose checkpoints were deleted with this folder.
        self._put("stored", {key: _packed(one) for key, one in stored.items()})
        return 0

    def measure(self, shard: int) -> int:
        """Measure a shard."""
        _, computed = self._computed()
        self._put(f"part-{shard:05d}", computed.measure(shard))
        return shard

    def combine(self, shards: int) -> int:
        """Combine the measures; return the number of shards."""
        if shards:
            _, computed = self._computed()
            self._put("whole", computed.combine([self._get(f"part-{one:05d}") for one in range(shards)]))
        return shards

    def rows(self, shard: int) -> int:
        """Write the rows of a shard to a file."""
        work, computed = self._computed()
        frame, facts = computed.rows(self._get("whole"), shard)
        write_part(frame, work.buffer_types, self._rows(shard))
        self._put(f"facts-{shard:05d}", (len(frame), facts))
        return shard

    def store(self, shards: int) -> dg.MaterializeResult:
        """Replace the snapshot, and return the result of the run."""
        costs = StepCosts()
        if not shards:
            stored = {key: _unpacked(one) for key, one in self._get("stored").items()}
            self._forget()
            return self.step.result(stored, costs)
        work, computed = self._computed()
        found = [self._get(f"facts-{shard:05d}") for shard in range(shards)]
        files = [(self._rows(shard), count) for shard, (count, _) in enumerate(found)]
        rows = ParquetBuffer(work.buffer_types, work.data_dir, files)
        output = computed.output(self._get("whole"), rows, [facts for _, facts in found])
        return self.step.result({work.partition.key: self.step.write(work, output)}, costs)

    def _computed(self) -> tuple[Work[Any], AnyInShards]:
        """Return the argument of the computation and the computation, of the inputs that `read` left."""
        partition, inputs = self._get("inputs")
        work = self.step.work(partition, self._folder)
        computed = self.step.table.compute(work, inputs)
        if isinstance(computed, TableOutput):
            raise dg.Failure(
                f"{self.step.table.relation} {partition.label}: its model has changed since the step `read`; "
                "materialize the snapshot again"
            )
        return work, computed

    def _rows(self, shard: int) -> Path:
        return self._folder / f"rows-{shard:05d}.parquet"

    def _put(self, name: str, value: object) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.pickle"
        path.with_suffix(".new").write_bytes(pickle.dumps(value))
        path.with_suffix(".new").replace(path)

    def _get(self, name: str) -> Any:
        return pickle.loads((self._folder / f"{name}.pickle").read_bytes())

    def _forget(self) -> None:
        (self._folder / "stored.pickle").unlink()
        self._folder.rmdir()


def _numbered(shards: int) -> Iterator[dg.DynamicOutput[int]]:
    for shard in range(shards):
        yield dg.DynamicOutput(shard, mapping_key=f"shard_{shard:05d}")


def _packed(stored: Stored) -> dict[str, Any]:
    """Return a stored snapshot as values that can be pickled, which results of checks are not."""
    checks = [check._asdict() for check in stored.checks]
    return {"rows": stored.rows, "where": stored.where, "checks": checks, "metadata": dict(stored.metadata)}


def _unpacked(packed: dict[str, Any]) -> Stored:
    checks = [dg.AssetCheckResult(**check) for check in packed["checks"]]
    return Stored(packed["rows"], packed["where"], checks, packed["metadata"])
