"""Dagster's daemon for tests of ticks: evaluates them at an instant, and executes in this process what they request.

Belongs here: the daemon of schedules and that of declarative automation. Does not: what a test expects.
"""

from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.test_utils import freeze_time

from clm_dagster.platform.declarative import SENSOR
from clm_dagster.platform.job_names import RANGE_END, RANGE_START
from clm_dagster.platform.processes import OWNER, ProcessIdentity
from clm_dagster.platform.run_queue import JOB_TAG
from clm_dagster.settings import Settings

DAILY, HOURLY = ("daily_schedule",), ("snapshot_schedule", "train_schedule", "score_schedule")


@dataclass
class Daemon:
    """Dagster's daemon with the schedules of a shop. jobs: those of its runs, in order."""

    settings: Settings
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    jobs: list[str] = field(default_factory=list)
    failed: int = 0

    def work_a_day(self, at: datetime, kill: tuple[bool, bool] = (False, False)) -> int:
        """Do what Dagster does in the first hours of a day. Return the number of runs. kill: see `tick`."""
        count = self.tick(DAILY, at, kill[0])
        for hour in range(1, 5):
            done = self.tick(HOURLY, at.replace(hour=at.hour + hour), kill[1] and hour == 1)
            count += done
            if not done:
                break
        return count

    def tick(self, names: tuple[str, ...], at: datetime, kill: bool = False) -> int:
        """Return the number of runs. kill: whether the first one is killed before it has done anything."""
        count, definitions = 0, self.definitions
        for name in names:
            schedule = definitions.resolve_schedule_def(name)
            with dg.build_schedule_context(
                instance=self.instance,
                scheduled_execution_time=at,
                repository_def=definitions.get_repository_def(),
            ) as context:
                requests = schedule.evaluate_tick(context).run_requests or []
            assert len(requests) <= 1
            for request in requests:
                self.run(definitions.resolve_job_def(schedule.job_name), request, kill and not count)
                count += 1
        return count

    def run(self, job: dg.JobDefinition, request: dg.RunRequest, kill: bool) -> None:
        """Execute a request, or leave behind what a kill leaves."""
        self.jobs.append(request.tags[JOB_TAG])
        selected = list(request.asset_selection) if request.asset_selection else None
        if kill:
            self.failed += 1
            # No process has this id: the highest is 2^22.
            gone = ProcessIdentity(ProcessIdentity.own().host, 4_194_305, "before").tags(OWNER)
            asked = job.get_subset(asset_selection=set(selected)) if selected else job
            self.instance.create_run_for_job(
                asked, tags=dict(request.tags) | gone, status=dg.DagsterRunStatus.STARTED
            )
            return
        result = job.execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=self.instance,
            tags=dict(request.tags),
            asset_selection=selected,
        )
        assert result.success


@dataclass
class DeclarativeDaemon(Daemon):
    """Dagster's daemon with the sensor of declarative automation. Each tick is compared with the conditions alone."""

    cursor: str | None = None
    conditions: AssetDaemonCursor | None = None

    def work_a_day(self, at: datetime, kill: tuple[bool, bool] = (False, False)) -> int:
        """Look until nothing is due any more, as the sensor does every minute. Return the number of runs."""
        count = 0
        for minute in range(30):
            if not self.look(at.replace(minute=minute), kill[min(minute, 1)] and minute < 2):
                break
            count += 1
        return count

    def look(self, at: datetime, kill: bool = False) -> int:
        """Evaluate the sensor once. Return the number of runs."""
        definitions, repository = self.definitions, self.definitions.get_repository_def()
        with freeze_time(at):
            context = dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, repository_def=repository, sensor_name=SENSOR
            )
            evaluated = definitions.resolve_sensor_def(SENSOR).evaluate_tick(context)
        self.cursor = evaluated.cursor
        requests = evaluated.run_requests or []
        assert len(requests) <= 1
        for request in requests:
            self._compare(request, at)
            assert request.job_name is not None
            self.run(repository.get_job(request.job_name), request, kill)
        return len(requests)

    def _compare(self, request: dg.RunRequest, at: datetime) -> None:
        """Compare a request with what Dagster's own evaluation of the conditions asks for."""
        found = dg.evaluate_automation_conditions(
            self.definitions, self.instance, evaluation_time=at, cursor=self.conditions
        )
        self.conditions = found.cursor
        graph = self.definitions.resolve_asset_graph()
        wanted = {result.key for result in found.results if not result.true_subset.is_empty}
        assert request.asset_selection and wanted == set(request.asset_selection)
        for key in wanted:
            assert isinstance(key, dg.AssetKey)
            partitions = graph.get(key).partitions_def
            span = dg.PartitionKeyRange(request.tags[RANGE_START], request.tags[RANGE_END])
            keys = set(partitions.get_partition_keys_in_range(span)) if partitions else {None}
            assert found.get_requested_partitions(key) == keys
