"""The plan: which runs are needed, over which partitions, and why.

Belongs here: turning stale partitions into runs with reasons. Does not: what is stale (`build_ledger.staleness`),
running anything (`shop_run`), printing (`plan_view`).

The plan looks ahead: after a stage is planned, its partitions are assumed to be built, and the next stage is planned
on that. The rows of days that are not loaded yet are unknown, so a later stage may turn out smaller. `clm run`
therefore plans again after each stage that ran something.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property

from clm_dagster.platform.build_ledger.graded import GradedWindows, graded_snapshots
from clm_dagster.platform.build_ledger.staleness import (
    Landed,
    ranges,
    stale_days,
    stale_files,
    stale_python_views,
    stale_scores,
    stale_snapshots,
    stale_tables,
    stale_trainings,
    training_keys,
)
from clm_dagster.platform.build_ledger.versions import EVENTS, WHOLE, Builds, Version
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project, Seed
from clm_dagster.platform.job_names import DAILY as DAILY_JOB
from clm_dagster.platform.job_names import MODELS, PUBLISH, SCORES, SNAPSHOTS, job_of
from clm_dagster.platform.partitions import days_lacking, snapshot_label, snapshot_partitions, why_waiting
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.retention import kept_snapshots, unbroken
from clm_dagster.settings import Settings

# The stages in the order in which they run. Each builds on the results of the stages before it.
STAGES = ("days", "snapshots", "models", "scores", "views", "publish")
# How many reasons are listed per run, and how many inputs per reason; there may be hundreds.
_MAX_REASONS, _MAX_INPUTS = 4, 2
_WHY_GRADED = "a past snapshot is scored, so that the model has a grade"


@dataclass(frozen=True)
class Step:
    """One planned run: a job over a range of partitions, with reasons.

    assets: the stale relations. only_assets: whether only these run; otherwise all assets of the job run.
    """

    stage: str
    job: str
    first: str = ""
    last: str = ""
    assets: tuple[str, ...] = ()
    only_assets: bool = False
    reasons: tuple[str, ...] = ()

    @property
    def is_of_snapshots(self) -> bool:
        """Whether its partitions are snapshots, which have an as_of besides their key."""
        return bool(self.first) and self.job != DAILY_JOB


@dataclass(frozen=True)
class Plan:
    """All planned runs, in the order in which they run.

    waiting: why the newest snapshot that has ended is not built yet; empty where nothing waits. lost: trainings whose
    models MLflow does not have any more, by table. thinned: stored snapshots that CLM_KEEP_SNAPSHOTS does not keep;
    they are not built any more, and `clm vacuum` deletes them.
    """

    steps: tuple[Step, ...] = ()
    waiting: str = ""
    lost: Mapping[str, Sequence[str]] = field(default_factory=dict)
    thinned: tuple[str, ...] = ()

    def of(self, stage: str) -> list[Step]:
        """Return the runs of one stage."""
        return [step for step in self.steps if step.stage == stage]


@dataclass(frozen=True)
class Reason:
    """Why a partition of a relation is out of date."""

    relation: str
    why: str

    def __str__(self) -> str:
        return f"{self.relation}: {self.why}"


@dataclass
class Planner:
    """Planner of one shop.

    published: whether the published copy is as new as the warehouse. now: the instant by which a week must have ended;
    None for the present.
    """

    settings: Settings
    project: Project
    tables: Sequence[AnyTable]
    landed: Landed
    builds: Builds
    published: bool
    now: datetime | None = None
    _steps: list[Step] = field(default_factory=list)

    def plan(self, stages: Sequence[str] = STAGES) -> Plan:
        """Return all runs that are needed, of some stages. Stages that are left out are assumed to change nothing."""
        keys = self.snapshot_keys()
        planned: dict[str, Callable[[Sequence[str]], None]] = {
            "days": lambda keys: self._plan_days(),
            "snapshots": self._plan_snapshots,
            "models": self._plan_trainings,
            "scores": self._plan_scores,
            "views": self._plan_views,
        }
        for stage in STAGES:
            if stage in stages and stage in planned:
                planned[stage](keys)
        # Every complete job publishes. `models` never runs completely.
        publishes = any(not step.only_assets for step in self._steps)
        if "publish" in stages and (self._steps or not self.published) and not publishes:
            why = "the published copy is missing or outdated"
            self._steps.append(Step("publish", PUBLISH, reasons=(why,)))
        return Plan(tuple(self._steps), self._why_waiting(keys), thinned=tuple(self._thinned_keys(keys)))

    def snapshot_keys(self) -> list[str]:
        """Return the snapshots of the shop that are kept, in order."""
        return kept_snapshots(self._complete_keys(), self.tables, self.settings)

    def _thinned_keys(self, kept: Sequence[str]) -> list[str]:
        """Return the stored snapshots that are not kept any more."""
        relations = [model.relation for model in self.project.models.values() if model.window == SNAPSHOT]
        relations += [table.relation for table in self.tables if not table.is_trained]
        stored = {key for relation in relations for key in self.builds.keys(relation)}
        return sorted(stored & set(self._complete_keys()) - set(kept))

    def _complete_keys(self) -> list[str]:
        """Return the snapshots whose weeks have ended and whose days have all landed.

        Days that have not landed are unknown, not days without sales: a snapshot past them would be wrong.
        """
        data_end = self._data_end
        return [
            key for key in self._ended_keys if data_end and not days_lacking(key, data_end, self.settings)
        ]

    @cached_property
    def _data_end(self) -> date | None:
        return self.landed.data_end()

    @cached_property
    def _ended_keys(self) -> list[str]:
        days = (key for key in self.landed.day_keys() if date.fromisoformat(key).weekday() == 0)
        ended = set(snapshot_partitions(self.settings).get_partition_keys(current_time=self.now))
        return [key for key in days if key in ended]

    def _why_waiting(self, keys: Sequence[str]) -> str:
        """Return why the newest snapshot that has ended is not among `keys`."""
        ended = self._ended_keys
        if self._data_end is None or ended[-1:] == list(keys[-1:]):
            return ""
        return why_waiting(ended[-1], self._data_end, self.settings)

    # ------------------------------------------------------------------------------- SQL models

    def _plan_days(self) -> None:
        builds, pending = self.builds, self.landed.pending_days(self.builds)
        days = stale_days(self.project, self.landed, builds)
        files = [Reason(f.relation, self._why_file(f.relation)) for f in self._stale_files(DAILY_JOB)]
        files += [Reason(t.relation, self._why_whole(t)) for t in stale_tables(self.project, builds)]
        if not days and (files or self.landed.has_pending_tables(builds)):
            # Unpartitioned assets run together with any day; the last day is the least work.
            days = self.landed.day_keys()[-1:]
        reasons = [Reason(EVENTS, "landed but not loaded yet")] if pending else []
        if not pending and self.landed.has_pending_tables(builds):
            reasons.append(Reason("raw", "rows outside the daily partitions are landed but not loaded yet"))
        for key in pending:
            builds.assume(EVENTS, key, Version(f"planned {builds.written(EVENTS, key)}"))
        reasons += self._build_models(DAILY, days)
        if days:
            self._assume_all(self._stale_files(DAILY_JOB))
            self._assume_tables()
        self._add("days", DAILY_JOB, days, [*reasons, *files])

    def _plan_snapshots(self, keys: Sequence[str]) -> None:
        stale = stale_snapshots(self.project, self.builds, keys)
        files = self._stale_files(SNAPSHOTS)
        reasons = [Reason(f.relation, self._why_file(f.relation)) for f in files]
        if not stale and reasons:
            stale = list(keys[-1:])
        self._add("snapshots", SNAPSHOTS, stale, [*self._build_models(SNAPSHOT, stale), *reasons])
        self._assume_all(files)

    def _build_models(self, window: str, keys: Sequence[str]) -> list[Reason]:
        """Assume that the stale partitions are built; return one reason per model that was stale."""
        reasons = []
        for name, model in self.project.models.items():
            if model.window != window:
                continue
            expected = self.builds.expected(self.project, name, keys)
            stale = {key: v for key, v in expected.items() if self._differs(model.relation, key, v)}
            for key in list(stale)[:1]:
                why = self._why(model.relation, key, stale[key], model.refs, window)
                reasons.append(Reason(model.relation, why))
            for key, version in stale.items():
                self.builds.assume(model.relation, key, version)
        return reasons

    def _stale_files(self, job: str) -> list[Model | Seed]:
        """Return the stale views and seeds that a job builds."""
        return [f for f in stale_files(self.project, self.builds) if job_of(self.project, f) == job]

    def _assume_tables(self) -> None:
        """Assume that tables without partitions are built. Which days of a table change is not known before."""
        for table in stale_tables(self.project, self.builds):
            expected = self.builds.expected(self.project, table.name, [WHOLE])
            if table.materialized == "state":
                for day, version in self.builds.expected_days(self.project, table.name).items():
                    if self._differs(table.relation, day, version):
                        self.builds.assume(table.relation, day, version)
            self.builds.assume(table.relation, WHOLE, expected[WHOLE])

    # --------------------------------------------------------------------------- Python tables

    def _plan_trainings(self, keys: Sequence[str]) -> None:
        due = training_keys(keys, self.settings)
        wanted: dict[str, list[Reason]] = {}
        for table in (table for table in self.tables if table.is_trained):
            stale = stale_trainings(self.project, table, self.builds, due)
            for key in stale:
                wanted.setdefault(key, []).append(Reason(table.relation, self._why_trained(table, key)))
            for key in stale:
                self._build_table(table, key)
        for key, reasons in sorted(wanted.items()):
            self._add("models", MODELS, [key], reasons, only_assets=True)

    def _plan_scores(self, keys: Sequence[str]) -> None:
        newest = keys[-self.settings.score_count :] if self.settings.score_count else []
        # Past snapshots come first: the scores of a later one may read those of an earlier one.
        self._plan_graded(keys, newest)
        stale = stale_scores(self.project, self.tables, self.builds, newest)
        reasons: dict[str, Reason] = {}
        for table in (table for table in self.tables if not table.is_trained):
            for key in stale:
                if table.is_stale(self.project, self.builds, key):
                    reasons.setdefault(table.relation, Reason(table.relation, self._why_table(table, key)))
                    self._build_table(table, key)
        self._add("scores", SCORES, stale, list(reasons.values()))
        if stale:
            self._assume_all(self._stale_python_views())

    def _plan_graded(self, keys: Sequence[str], newest: Sequence[str]) -> None:
        """Plan the past snapshots that are scored only to be graded, one run for each."""
        trainings, data_end = training_keys(keys, self.settings), self._data_end
        if not trainings or data_end is None:
            return
        count = self.settings.graded_horizons
        windows = GradedWindows(keys, newest, trainings[0], data_end, count)
        for key, tables in graded_snapshots(self.project, self.tables, self.builds, windows).items():
            reasons = [Reason(table.relation, _WHY_GRADED) for table in tables]
            for table in tables:
                self._build_table(table, key)
            self._add("scores", SCORES, [key], reasons, only_assets=True)

    def _plan_views(self, keys: Sequence[str]) -> None:
        """Plan the stale views over Python tables that no scoring run creates."""
        reasons = [
            Reason(view.relation, self._why_file(view.relation)) for view in self._stale_python_views()
        ]
        if reasons:
            self._add("views", SCORES, keys[-1:], reasons, only_assets=True)

    def _stale_python_views(self) -> list[Model]:
        return stale_python_views(self.project, self.tables, self.builds)

    def _assume_all(self, files: Iterable[Model | Seed]) -> None:
        for file in files:
            self.builds.assume(file.relation, WHOLE, Version(file.code_version))

    def _build_table(self, table: AnyTable, key: str) -> None:
        self.builds.assume(table.relation, key, table.expected(self.project, self.builds, key))

    # -------------------------------------------------------------------------------- reasons

    def _why_trained(self, table: AnyTable, key: str) -> str:
        if self.builds.stored(table.relation, key) is None:
            return "a model is due"
        if not table.is_stale(self.project, self.builds, key):
            return "an earlier model that it builds on is trained again"
        return self._why_table(table, key)

    def _why_table(self, table: AnyTable, key: str) -> str:
        expected = table.expected(self.project, self.builds, key)
        why = self._why(table.relation, key, expected, table.reads, SNAPSHOT)
        written, trained = self.builds.written(table.relation, key), table.model_key(self.builds, key)
        if table.model is None or trained is None or not why.startswith("inputs"):
            return why
        newer = self.builds.written(table.model.relation, trained) > written
        label = snapshot_label(trained, self.settings.end_date)
        return f"inputs changed: {table.model.relation} of {label}" if newer else why

    def _why(
        self, relation: str, key: str, expected: Version, refs: Iterable[str], window: str | None
    ) -> str:
        stored = self.builds.stored(relation, key)
        if stored is None:
            return "missing"
        if stored.code != expected.code:
            return "code changed"
        than = self.builds.written(relation, key)
        newer = self.builds.newer_inputs(self.project, refs, window, key, than)
        return f"inputs changed: {_some(newer, _MAX_INPUTS)}" if newer else "inputs changed"

    def _differs(self, relation: str, key: str, expected: Version) -> bool:
        stored = self.builds.stored(relation, key)
        return stored is None or stored.hash != expected.hash

    def _why_whole(self, model: Model) -> str:
        expected = self.builds.expected(self.project, model.name, [WHOLE])[WHOLE]
        return self._why(model.relation, WHOLE, expected, model.refs, None)

    def _why_file(self, relation: str) -> str:
        return "missing" if self.builds.stored(relation) is None else "file changed"

    def _add(
        self, stage: str, job: str, keys: Sequence[str], reasons: Sequence[Reason], only_assets: bool = False
    ) -> None:
        assets = tuple(dict.fromkeys(reason.relation for reason in reasons))
        # A range over thinned snapshots would build them again.
        is_thinned = self.settings.keep_snapshot_days is not None and job != DAILY_JOB
        for first, last in [(g[0], g[-1]) for g in unbroken(keys)] if is_thinned else ranges(keys):
            self._steps.append(Step(stage, job, first, last, assets, only_assets, _reason_lines(reasons)))


def _reason_lines(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """Return a few lines: one per reason with its relations, root causes before changed inputs."""
    by_reason: dict[str, list[str]] = {}
    for reason in sorted(reasons, key=lambda reason: reason.why.startswith("inputs")):
        by_reason.setdefault(reason.why, []).append(reason.relation)
    lines = [f"{_some(relations, _MAX_INPUTS)}: {why}" for why, relations in by_reason.items()]
    rest = len(lines) - _MAX_REASONS
    return (*lines[:_MAX_REASONS], *([f"and {rest} more reasons"] if rest > 0 else []))


def _some(names: Sequence[str], limit: int) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
