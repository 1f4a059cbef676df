"""Dagster's declarative automation: a condition on every asset, and the sensor that requests what it finds.

Belongs here: the condition and the sensor. Does not: what is due (`due_runs`), schedules and sensors that request the
same runs (`schedules`, `change_sensors`), which of both a shop uses (`automation`).

Dagster's own conditions look at the events of assets. What is due here is what the build ledger says, so that a shop
has one definition of it, however its runs are started. The condition is true for the partitions of one run: the next
portion of one job. The sensor requests them as that run. Dagster itself would split them into one run for each kind of
partition, which would build on each other in no certain order.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import dagster as dg
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster_shared.record import copy

from clm_dagster.platform.due_runs import DueRuns, Waiting
from clm_dagster.platform.job_names import RANGE_END, RANGE_START
from clm_dagster.platform.naming import name_of, run_tags
from clm_dagster.platform.run_queue import JOB_TAG

# Name of the sensor, before the shop's prefix.
SENSOR = "due_partitions"


@dataclass
class NextRun:
    """The run that an evaluation of all conditions requests. It is looked for once for each evaluation.

    selections: the assets of each job, by its name in Dagster.
    """

    due: DueRuns
    selections: Mapping[str, dg.AssetSelection]
    _found: "WeakKeyDictionary[AssetGraphView, dg.RunRequest | Waiting]" = field(
        default_factory=WeakKeyDictionary
    )
    # Dagster evaluates the sensors of a code location in threads of one process.
    _seen: threading.local = field(default_factory=threading.local)

    @property
    def by(self) -> str:
        """Name of the sensor."""
        return name_of(self.due.settings, SENSOR)

    def of(self, view: AssetGraphView) -> dg.RunRequest | Waiting:
        """Return the request for an evaluation, with all its assets, or why there is none."""
        found = self._found.get(view)
        if found is None:
            at = view.effective_dt.astimezone(self.due.settings.zone)
            found = self.due.request_next(view.instance, self.by, at)
            if isinstance(found, dg.RunRequest):
                keys = found.asset_selection or self.selections[found.tags[JOB_TAG]].resolve(view.asset_graph)
                tags = {**found.tags, **run_tags(self.due.settings)}
                found = found.with_replaced_attrs(asset_selection=sorted(keys), tags=tags)
            self._found[view] = self._seen.found = found
        return found

    def last(self) -> dg.RunRequest | Waiting:
        """Return what the last evaluation in this thread has found."""
        found: dg.RunRequest | Waiting = self._seen.found
        return found


class DueCondition(dg.AutomationCondition[dg.AssetKey]):
    """True for the partitions of an asset that the next run builds."""

    def __init__(self, next_run: NextRun) -> None:
        self._next_run = next_run

    @property
    def name(self) -> str:
        """Return the name under which Dagster stores evaluations."""
        return "due_by_build_ledger"

    @property
    def description(self) -> str:
        """Return what the UI shows."""
        return (
            "Missing or out of date by the build ledger, and in the next run: the oldest portion of one job"
        )

    def get_label(self) -> str:
        """Return the label in the UI."""
        return "due by the build ledger"

    @property
    def requires_cursor(self) -> bool:
        """Whether Dagster stores the last result to compare it with the next one."""
        return False

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Return the partitions of this asset that the next run builds."""
        found, due = self._next_run.of(context.asset_graph_view), context.get_empty_subset()
        if isinstance(found, dg.RunRequest) and context.key in (found.asset_selection or ()):
            due = context.candidate_subset
            if due.partitions_def is not None:
                span = dg.PartitionKeyRange(found.tags[RANGE_START], found.tags[RANGE_END])
                keys = due.partitions_def.get_partition_keys_in_range(span)
                due = due.compute_intersection_with_partition_keys(set(keys))
        return dg.AutomationResult(context, due)


class DueSensor(dg.AutomationConditionSensorDefinition):
    """Dagster's sensor of automation conditions, which requests what they find as one run."""

    def __init__(self, next_run: NextRun, target: dg.AssetSelection) -> None:
        settings = next_run.due.settings
        super().__init__(
            name=next_run.by,
            target=target,
            minimum_interval_seconds=settings.sensor_seconds,
            description="Requests what is missing or out of date, one run at a time: the oldest portion, days before "
            f"snapshots before models before scores. Looks for late rows once a day, from {settings.daily_hour}:00.",
            use_user_code_server=True,  # the daemon does not have the code of the condition
        )
        self._next_run = next_run

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        """Evaluate the conditions; return their results and one run, or why there is none."""
        evaluated = super().evaluate_tick(context)
        found = self._next_run.last()
        if isinstance(found, Waiting):
            # With results that say nothing new, Dagster would not show the reason.
            return copy(
                evaluated, run_requests=[], skip_message=found.reason, automation_condition_evaluations=[]
            )
        tags = {**found.tags, **dg.DagsterRun.tags_for_sensor(self)}
        request = found.with_replaced_attrs(tags=tags)
        resolved = self.resolve_run_requests([request], context, self.asset_selection, [])
        return copy(evaluated, run_requests=list(resolved))


def declare(
    due: DueRuns, assets: Sequence[dg.AssetsDefinition], selections: Mapping[str, dg.AssetSelection]
) -> tuple[list[dg.AssetsDefinition], DueSensor]:
    """Return the assets, those of some jobs with the condition, and its sensor, which a user has to start."""
    next_run = NextRun(due, selections)
    keys = {key for selection in selections.values() for key in selection.resolve(assets)}
    condition = DueCondition(next_run)
    declared = dg.map_asset_specs(
        lambda spec: spec.replace_attributes(automation_condition=condition) if spec.key in keys else spec,
        assets,
    )
    return list(declared), DueSensor(next_run, dg.AssetSelection.assets(*sorted(keys)))
