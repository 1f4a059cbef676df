"""The run that a tick of a schedule or a sensor requests: the oldest portion of what is due.

Belongs here: what a job has to bring up to date by an instant, in portions; when it is tried again. Does not: when
ticks happen (`schedules`, `change_sensors`), other runs (`run_queue`), what is stale (`planning`).

`clm run` brings everything up to date at once. A tick reads the same plan and requests one run of its job over a
bounded number of partitions, oldest first. So any number of ticks may be missed, and any run may fail: the next tick
goes on.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

import dagster as dg

from clm_dagster.platform.build_ledger.staleness import Landed
from clm_dagster.platform.build_ledger.versions import EVENTS, Builds
from clm_dagster.platform.dbt_project.project import DAILY as DAY
from clm_dagster.platform.dbt_project.project import SNAPSHOT, Project
from clm_dagster.platform.domain import Domain, Shop, landed_of
from clm_dagster.platform.job_names import DAILY, MODELS, SCORES, SNAPSHOTS, range_tags
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.partitions import (
    daily_partitions,
    days_between,
    parse_day,
    snapshot_keys,
    snapshot_label,
)
from clm_dagster.platform.planning import STAGES, Plan, Planner, Step
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import tracking_of
from clm_dagster.platform.retention import unbroken
from clm_dagster.platform.run_queue import JOB_TAG, claimed_by_other, why_running
from clm_dagster.platform.runs import close_dead_runs
from clm_dagster.platform.ticks import read_in_tick
from clm_dagster.platform.trained_models.lost import read_builds
from clm_dagster.platform.warehouse import Connection
from clm_dagster.platform.whole_run import no_whole_run
from clm_dagster.settings import Settings

# Tags of requested runs: what was requested, in which state of its inputs and code, and the instant of the tick; on
# runs that look for late rows of the newest days, the date of the tick.
REQUEST_TAG, TICK_TAG, LOOKBACK_TAG = "clm/request", "clm/tick", "clm/lookback"
# The stages of the plan that each job runs.
_STAGES = {DAILY: ("days",), SNAPSHOTS: ("snapshots",), MODELS: ("models",), SCORES: ("scores", "views")}
# The jobs whose partitions become due, in the order in which they build on each other.
JOBS = tuple(_STAGES)
# A training that has failed so often no longer keeps the scores waiting: those of other models are due.
_PATIENCE = 2
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Waiting:
    """Why a tick requests nothing. is_settled: whether that stays so until another run of the shop."""

    reason: str
    is_settled: bool = True


@dataclass(frozen=True)
class _Portion:
    """The partitions of one run, and its assets; none for all assets of the job.

    is_planned: whether the plan has the first one. Otherwise it is a day that is loaded again for late rows.
    """

    first: str
    last: str
    assets: tuple[str, ...] = ()
    is_planned: bool = True


@dataclass(frozen=True)
class _EndedDays:
    """The landed files up to a day (exclusive), as planning sees them."""

    landed: Landed
    end: date

    def day_keys(self) -> list[str]:
        """Return every daily partition before the end that can have rows, in order."""
        return [key for key in self.landed.day_keys() if key < self.end.isoformat()]

    def data_end(self) -> date | None:
        """Return the exclusive end of the days with events; None where there are none."""
        found = self.landed.data_end()
        return min(found, self.end) if found else None

    def pending_days(self, builds: Builds) -> list[str]:
        """Return the days before the end whose landed rows are not loaded yet."""
        return [key for key in self.landed.pending_days(builds) if key < self.end.isoformat()]

    def has_pending_tables(self, builds: Builds) -> bool:
        """Whether landed rows outside the daily partitions are not loaded yet."""
        return self.landed.has_pending_tables(builds)

    def day_version(self, key: str) -> str:
        """Return the version of the landed events of a day."""
        return self.landed.day_version(key)


@dataclass(frozen=True)
class DueRuns:
    """What is due in a shop. landed: reads what has landed."""

    settings: Settings
    project: Project
    tables: Sequence[AnyTable]
    landed: Callable[[], Landed]

    @classmethod
    def of(cls, shop: Shop, tables: Sequence[AnyTable], domains: Sequence[Domain]) -> "DueRuns":
        """Return what is due in a shop. Raise ProjectError if no domain lands its files."""
        return cls(shop.settings, shop.project, tables, landed_of(domains))

    def request(
        self, instance: dg.DagsterInstance, by: str, job: str, at: datetime, lookback: bool = False
    ) -> dg.RunRequest | Waiting:
        """Return the request for the oldest portion of a job that is due at an instant, or why there is none.

        by: name of the schedule or sensor. lookback: whether the newest days are due in any case, for late rows.
        """
        close_dead_runs(instance)
        with no_whole_run(self.settings) as reason:
            pass  # a look, before the work of planning
        reason = reason or why_running(self.settings, instance, job)
        if reason:
            return Waiting(reason, is_settled=False)
        builds = read_in_tick(self.settings, by, partial(self._read_builds, job), Builds())
        if isinstance(builds, dg.SkipReason):
            return Waiting(str(builds.skip_message), is_settled=False)
        ended = daily_partitions(self.settings).get_partition_keys(current_time=at)
        if not ended:
            return Waiting(
                f"the shop's history starts on {self.settings.start_date}: no partition has ended yet"
            )
        landed = _EndedDays(self.landed(), parse_day(ended[-1]) + _DAY)
        plan = self._plan(instance, job, at, builds, landed)
        before = [step for step in plan.steps if step.stage not in _STAGES[job]]
        if before:
            return Waiting(f"{self._span(before[0])} comes first: {'; '.join(before[0].reasons)}")
        extra = self._days_to_load(builds, landed, ended, at, lookback) if job == DAILY else []
        put_off = ""
        for portion in self._portions(job, plan, extra):
            state = self._state(job, builds, landed, portion.first)
            tried = _requested(instance, state)
            until = _next_attempt(tried) if portion.is_planned else None
            if until is not None and at < until:
                put_off = put_off or self._put_off(job, portion, tried, until)
                continue
            taken = self._why_taken(instance, job, by)
            if taken:
                return Waiting(taken, is_settled=False)
            return dg.RunRequest(
                run_key=f"{by} {portion.first} {portion.last} {state[:8]} {len(tried)}",
                tags=range_tags(portion.first, portion.last)
                | {JOB_TAG: name_of(self.settings, job), REQUEST_TAG: state, TICK_TAG: at.isoformat()}
                | ({LOOKBACK_TAG: self._date(at)} if lookback and portion.last >= ended[-1] else {}),
                asset_selection=[asset_key(self.settings, name) for name in portion.assets] or None,
            )
        late = plan.waiting if job != DAILY else ""
        return Waiting(put_off or late or self._nothing(job, ended, at))

    def request_next(self, instance: dg.DagsterInstance, by: str, at: datetime) -> dg.RunRequest | Waiting:
        """Return the request of the first job that is due, or why none is. Its tags name the job.

        The newest days are due once a day from CLM_DAILY_HOUR on, for late rows.
        """
        reasons = list[str]()
        for job in JOBS:
            lookback = job == DAILY and self._is_to_look_back(instance, at)
            found = self.request(instance, by, job, at, lookback)
            if isinstance(found, dg.RunRequest):
                return found
            if found.reason not in reasons:
                reasons.append(found.reason)
        return Waiting("; ".join(reasons))

    def _is_to_look_back(self, instance: dg.DagsterInstance, at: datetime) -> bool:
        """Whether the newest days were not looked at for late rows yet on the day of an instant."""
        if at.astimezone(self.settings.zone).hour < self.settings.daily_hour:
            return False
        tried = list(instance.get_runs(dg.RunsFilter(tags={LOOKBACK_TAG: self._date(at)})))
        failed = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
        until = _next_attempt(tried)
        return all(run.status in failed for run in tried) and (until is None or at >= until)

    def _date(self, at: datetime) -> str:
        """Return the date of an instant in the shop, with its prefix: shops may share a Dagster."""
        return name_of(self.settings, f"{at.astimezone(self.settings.zone):%Y-%m-%d}")

    def _read_builds(self, job: str, connection: Connection) -> Builds:
        """Return the build ledger; for jobs that train or score, without the trainings whose models are lost."""
        if job in (DAILY, SNAPSHOTS):
            return Builds.read(connection)
        builds, _ = read_builds(connection, tracking_of(self.settings), self.tables)
        return builds

    def _why_taken(self, instance: dg.DagsterInstance, job: str, by: str) -> str:
        """Claim the next run of a job; return why it cannot be requested any more, empty where it can."""
        with no_whole_run(self.settings) as reason:
            # `clm run` starts before this claim, and is seen here, or after it, and sees the claim.
            other = "" if reason else claimed_by_other(self.settings, instance, job, by)
        return reason or (f"{other} has just requested a run of the same job" if other else "")

    def _plan(
        self, instance: dg.DagsterInstance, job: str, at: datetime, builds: Builds, landed: _EndedDays
    ) -> Plan:
        """Return the plan of a job's stages and all stages before them."""
        stages = STAGES[: STAGES.index(_STAGES[job][-1]) + 1]
        plan = self._planner(builds, landed, at).plan(stages)
        trainings = plan.of("models") if job != MODELS else []
        if not trainings:
            return plan
        state = self._state(MODELS, builds, landed, trainings[0].first)
        if len(_requested(instance, state)) < _PATIENCE:
            return plan
        return self._planner(builds, landed, at).plan([stage for stage in stages if stage != "models"])

    def _planner(self, builds: Builds, landed: _EndedDays, at: datetime) -> Planner:
        return Planner(
            self.settings, self.project, self.tables, landed, builds.copy(), published=True, now=at
        )

    def _days_to_load(
        self, builds: Builds, landed: _EndedDays, ended: Sequence[str], at: datetime, lookback: bool
    ) -> list[str]:
        """Return the days that are not in the plan, because nothing of them has landed yet.

        A daily run lands new files before it loads its days.
        """
        if not lookback:
            return []
        planned, loaded = landed.day_keys(), set(builds.keys(EVENTS))
        later = [key for key in ended if planned and key > planned[-1] and key not in loaded]
        is_newest = self._instant(ended[-1]) + 2 * _DAY > at.astimezone(self.settings.zone)
        return [*later, *(ended[-1 - self.settings.lookback_days :] if is_newest else [])]

    def _instant(self, key: str) -> datetime:
        return datetime.fromisoformat(key).replace(tzinfo=self.settings.zone)

    def _portions(self, job: str, plan: Plan, extra: Iterable[str]) -> Iterator[_Portion]:
        """Return what is due in portions, oldest first. extra: more days.

        Days that are far from each other share a run if it stays small: late rows are scattered over weeks.
        """
        steps = [step for step in plan.steps if step.stage in _STAGES[job]]
        if job == DAILY:
            planned = {key for step in steps for key in _days(step.first, step.last)}
            for part in _windows(planned | set(extra), timedelta(days=self.settings.catch_up_days)):
                yield _Portion(part[0], part[-1], is_planned=part[0] in planned)
            return
        size = timedelta(weeks=self.settings.catch_up_snapshots)
        whole = {key for step in steps if not step.only_assets for key in _weeks(step.first, step.last)}
        for step in steps:
            if step.only_assets:
                for part in _windows(_weeks(step.first, step.last), size):
                    yield _Portion(part[0], part[-1], step.assets)
        # A range over thinned snapshots would build them again.
        is_thinned = self.settings.keep_snapshot_days is not None
        for group in unbroken(whole) if is_thinned else [list(whole)]:
            for part in _windows(group, size):
                yield _Portion(part[0], part[-1])

    def _state(self, job: str, builds: Builds, landed: _EndedDays, key: str) -> str:
        """Return a hash of the inputs and the code of what a job builds of a partition.

        A run that failed would fail again as long as they are the same.
        """
        window = DAY if job == DAILY else SNAPSHOT
        parts = [job, self.settings.asset_prefix, key]
        parts += [model.code_version for model in self.project.models.values()]
        parts += [seed.code_version for seed in self.project.seeds.values()]
        if job in (DAILY, SNAPSHOTS):
            models = [name for name, model in self.project.models.items() if model.window == window]
            parts += [builds.expected(self.project, name, [key])[key].hash for name in models]
        else:
            tables = [table for table in self.tables if table.is_trained == (job == MODELS)]
            parts += [table.expected(self.project, builds, key).hash for table in tables]
        parts += [landed.day_version(key)] if job == DAILY else []
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def _span(self, step: Step) -> str:
        """Return a step as text: `snapshots 2024-01-01 to 2024-02-05 (as_of ...)`."""
        if step.stage != "days":
            return f"{step.stage} {snapshot_label(step.first, self.settings.end_date, step.last)}"
        return f"days {step.first}" + (f" to {step.last}" if step.last != step.first else "")

    def _put_off(self, job: str, portion: _Portion, tried: Sequence[dg.DagsterRun], until: datetime) -> str:
        span = self._span(Step(_STAGES[job][0], job, portion.first, portion.last))
        return (
            f"{span}: requested {len(tried)} times and still due; the last run is {tried[0].run_id}. See why it did "
            f"not help; `clm plan` says what is due. It is tried again at {until:%Y-%m-%d %H:%M}, or as soon as "
            "its inputs or its code have changed"
        )

    def _nothing(self, job: str, ended: Sequence[str], at: datetime) -> str:
        """Return why nothing is due."""
        end = self.settings.end_date
        if end and self._instant(ended[-1]) + 2 * _DAY <= at.astimezone(self.settings.zone):
            return (
                f"everything is up to date, and there is no partition after {ended[-1]}: the shop's history ends on "
                f"{end} (setting CLM_END_DATE)"
            )
        if job == MODELS:
            weeks, count = self.settings.train_every_weeks, self.settings.train_count
            how = f"models are trained every {weeks} weeks" if count else "CLM_TRAIN_COUNT is 0"
            return f"no model is due; {how}"
        return f"everything up to {ended[-1]} is up to date"


def _days(first: str, last: str) -> list[str]:
    return [day.isoformat() for day in days_between(parse_day(first), parse_day(last) + _DAY)]


def _weeks(first: str, last: str) -> list[str]:
    return snapshot_keys(parse_day(first), parse_day(last) + _DAY)


def _windows(keys: Iterable[str], size: timedelta) -> Iterator[list[str]]:
    """Return the keys in order, in groups that span less than a size."""
    group: list[str] = []
    for key in sorted(keys):
        if group and parse_day(key) - parse_day(group[0]) >= size:
            yield group
            group = []
        group.append(key)
    if group:
        yield group


def _requested(instance: dg.DagsterInstance, state: str) -> list[dg.DagsterRun]:
    """Return the runs that were requested for a partition in this state, newest first."""
    return list(instance.get_runs(dg.RunsFilter(tags={REQUEST_TAG: state})))


def _next_attempt(tried: Sequence[dg.DagsterRun]) -> datetime | None:
    """Return when a request may be repeated; None for at once.

    The first time at the next tick, then after an hour, three, seven, fifteen, and so on: a cause that passes is
    survived, one that stays costs ever less.
    """
    if not tried:
        return None
    last = max(datetime.fromisoformat(run.tags[TICK_TAG]) for run in tried)
    return last + timedelta(hours=2 ** (len(tried) - 1) - 1)
