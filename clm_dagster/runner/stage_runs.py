"""The Dagster runs of one stage of a plan.

Belongs here: turning planned steps into runs, in this process or side by side. Does not: the order of stages
(`shop_run`), what is stale (`platform.planning`), worker processes (`side_by_side`).

Models and scores of different domains do not depend on each other. They run side by side, each group of tables that
depend on each other as one chain. SQL tables over scores, and the publication, follow in this process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import dagster as dg

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.domain import upstream_of
from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.partitions import snapshot_label
from clm_dagster.platform.planning import Step
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.runs import Begin, Run, execute
from clm_dagster.runner import side_by_side
from clm_dagster.settings import Settings

_TITLES = {
    DAILY: "Days",
    SNAPSHOTS: "Snapshots",
    MODELS: "Models",
    SCORES: "Scores",
    PUBLISH: "Publishing",
}
_SIDE_BY_SIDE = ("models", "scores")


@dataclass(frozen=True)
class StageRuns:
    """Executes the runs of a shop. tables: all Python tables, in topological order."""

    settings: Settings
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    project: Project
    tables: Sequence[AnyTable]
    begin: Begin

    def prepare(self) -> None:
        """Let worker processes start in the background, if there will be any."""
        if side_by_side.count_processes(self.settings) > 1:
            side_by_side.prepare()

    def run(self, stage: str, steps: Sequence[Step]) -> list[Run]:
        """Execute the steps of a stage. Raise RunFailedError, StoppedError.

        Models are published as soon as they are trained: their scores take as long again.
        """
        processes = side_by_side.count_processes(self.settings)
        chains = self._chains(steps) if stage in _SIDE_BY_SIDE and processes > 1 else []
        if len(chains) < 2:
            runs = [self._run(step) for step in steps]
        else:
            title = f"{_TITLES[steps[0].job]} {self._span(steps)}, {min(processes, len(chains))} processes"
            total = sum(self._count(task) for chain in chains for task in chain)
            runs = side_by_side.run_chains(self.settings, chains, self.begin(title, total), processes)
            rest = [step for step in steps if not step.only_assets or self._joining & set(step.assets)]
            runs += [self._run(step, without_tables=True) for step in rest]
        return runs + (self.publish() if stage == "models" else [])

    def publish(self) -> list[Run]:
        """Update the published copy."""
        return [self._run(Step("publish", PUBLISH))]

    def _chains(self, steps: Sequence[Step]) -> list[side_by_side.Chain]:
        """Return one chain of runs for each group of Python tables that depend on each other, without the joining."""
        reads = {
            table.relation: upstream_of(table, self.project)
            for table in self.tables
            if table.relation not in self._joining
        }
        trained = {table.relation for table in self.tables if table.is_trained}
        chains = []
        for group in side_by_side.independent_groups(reads):
            chain = []
            for step in steps:
                wanted = group & set(step.assets) if step.only_assets else group - trained
                if wanted:
                    chain.append(self._task(step, sorted(wanted)))
            if chain:
                chains.append(chain)
        return sorted(chains, key=len, reverse=True)

    @cached_property
    def _joining(self) -> set[str]:
        """Return the tables over the scores of several domains, and what reads them. They come after all chains.

        Plans and facts read everything: with them, no domain would be independent of another one.
        """
        found: set[str] = set()
        for table in self.tables:
            is_over = table.is_record or bool(found & upstream_of(table, self.project))
            if is_over and not table.is_trained:
                found.add(table.relation)
        return found

    def _task(self, step: Step, relations: Sequence[str]) -> side_by_side.Task:
        only = tuple(asset_key(self.settings, relation).to_user_string() for relation in relations)
        return side_by_side.Task(name_of(self.settings, step.job), (step.first, step.last), only)

    def _count(self, task: side_by_side.Task) -> int:
        return len(self._keys(task.job, *task.keys)) * len(task.only)

    def _keys(self, job: str, first: str, last: str) -> Sequence[str]:
        partitions = self.definitions.resolve_job_def(job).partitions_def
        assert partitions is not None
        return partitions.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))

    def _run(self, step: Step, without_tables: bool = False) -> Run:
        """Execute a step in this process. without_tables: leave out the Python tables of chains, which are done."""
        name = name_of(self.settings, step.job)
        if not step.first:
            count = len(set(self.definitions.resolve_job_def(name).asset_layer.executable_asset_keys))
            return execute(self.definitions, self.instance, name, None, self.begin(_TITLES[step.job], count))
        keys = self._keys(name, step.first, step.last)
        graph = self.definitions.resolve_asset_graph()
        only = [asset_key(self.settings, relation) for relation in step.assets] if step.only_assets else []
        selected = only or list(self.definitions.resolve_job_def(name).asset_layer.executable_asset_keys)
        title = f"{_TITLES[step.job]} {self._span([step])}"
        if without_tables:
            in_chains = {table.relation for table in self.tables} - self._joining
            done = {asset_key(self.settings, relation) for relation in in_chains}
            selected = only = sorted(set(selected) - done)
            title = f"Tables over scores {self._span([step])}"
        total = sum(len(keys) if graph.get(key).is_partitioned else 1 for key in selected)
        progress = self.begin(title, total)
        return execute(self.definitions, self.instance, name, (step.first, step.last), progress, only)

    def _span(self, steps: Sequence[Step]) -> str:
        return span_of(steps, self.settings.end_date)


def span_of(steps: Sequence[Step], end_date: date | None) -> str:
    """Return the partitions of steps as text: the first, the last if it is another one, and the as_of of snapshots."""
    first, last = min(step.first for step in steps), max(step.last for step in steps)
    if steps[0].is_of_snapshots:
        return snapshot_label(first, end_date, last)
    return first if first == last else f"{first} to {last}"
