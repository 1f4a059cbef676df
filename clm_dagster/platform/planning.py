"""The plan: which runs a shop wants, over which partitions, and why.

Belongs here: turning what is stale into runs, in words. Does not: what is stale (`build_ledger.staleness`), running
anything (`shop_run`), printing (`cli`).

A plan looks ahead: once a stage has its runs, the ledger is taken as if they were done, and the next stage is planned
on that. Rows of days that wait to be loaded are not known before they are, so a later stage may turn out smaller:
`clm run` plans again after each stage that did something.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from clm_dagster.platform.build_ledger.staleness import (
    Landed,
    ranges,
    stale_days,
    stale_files,
    stale_readers,
    stale_scores,
    stale_snapshots,
    stale_trainings,
    training_keys,
)
from clm_dagster.platform.build_ledger.versions import WHOLE, Builds, Version
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project
from clm_dagster.platform.job_names import DAILY as DAILY_JOB
from clm_dagster.platform.job_names import MODELS, PUBLISH, SCORES, SNAPSHOTS
from clm_dagster.platform.partitions import snapshot_partitions
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.settings import Settings

EVENTS = "raw.events"
# The stages in the order in which they run; each is planned on what the ones before have built.
STAGES = ("days", "snapshots", "models", "scores", "views", "publish")
# Reasons that are said of a run, and inputs that are said of a reason; there may be hundreds.
_MOST_REASONS, _MOST_INPUTS = 4, 2


@dataclass(frozen=True)
class Step:
    """One run that is wanted: a job over a range of partitions, and why.

    `assets` are the relations that make the run needed. It runs nothing but them where `only_assets` says so, else all
    assets of its job.
    """

    stage: str
    job: str
    first: str = ""
    last: str = ""
    assets: tuple[str, ...] = ()
    only_assets: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All runs that are wanted, in the order in which they run."""

    steps: tuple[Step, ...] = ()

    def of(self, stage: str) -> list[Step]:
        """The runs of one stage."""
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
    """Plans one shop; `published` says whether the published copy is as new as the warehouse."""

    settings: Settings
    project: Project
    tables: Sequence[AnyTable]
    landed: Landed
    builds: Builds
    published: bool
    _steps: list[Step] = field(default_factory=list)

    def plan(self) -> Plan:
        """Every run that is wanted."""
        keys = self.snapshot_keys()
        self._plan_days()
        self._plan_snapshots(keys)
        self._plan_trainings(keys)
        self._plan_scores(keys)
        self._plan_views(keys)
        publishes = any(not step.only_assets for step in self._steps)  # each whole job but `models`
        if (self._steps or not self.published) and not publishes:
            why = "the published copy is missing or older"
            self._steps.append(Step("publish", PUBLISH, reasons=(why,)))
        return Plan(tuple(self._steps))

    def snapshot_keys(self) -> list[str]:
        """Snapshots whose weeks have data and have ended."""
        days = (key for key in self.landed.day_keys() if date.fromisoformat(key).weekday() == 0)
        ended = set(snapshot_partitions(self.settings).get_partition_keys())
        return [key for key in days if key in ended]

    # ------------------------------------------------------------------------------- SQL models

    def _plan_days(self) -> None:
        builds, pending = self.builds, self.landed.pending_days(self.builds)
        days = stale_days(self.project, self.landed, builds)
        files = [Reason(f.relation, self._why_file(f.relation)) for f in stale_files(self.project, builds)]
        if not days and (files or self.landed.has_pending_tables(builds)):
            days = self.landed.day_keys()[
                -1:
            ]  # what lies in no day comes along with any; the last is the least work
        reasons = [Reason(EVENTS, "landed, and not loaded yet")] if pending else []
        if not pending and self.landed.has_pending_tables(builds):
            reasons.append(Reason("raw", "rows that lie in no day are landed, and not loaded yet"))
        for key in pending:
            builds.assume(EVENTS, key, Version(f"planned {builds.written(EVENTS, key)}"))
        reasons += self._build_models(DAILY, days)
        if days:
            self._assume_files()
        self._add("days", DAILY_JOB, days, [*reasons, *files])

    def _plan_snapshots(self, keys: Sequence[str]) -> None:
        stale = stale_snapshots(self.project, self.builds, keys)
        files = stale_files(self.project, self.builds)
        reasons = [Reason(f.relation, self._why_file(f.relation)) for f in files]
        if not stale and reasons:
            stale = list(keys[-1:])
        self._add("snapshots", SNAPSHOTS, stale, [*self._build_models(SNAPSHOT, stale), *reasons])
        self._assume_files()

    def _build_models(self, window: str, keys: Sequence[str]) -> list[Reason]:
        """Take these partitions as built; return why they were not up to date, one reason for each model."""
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

    def _assume_files(self) -> None:
        for file in stale_files(self.project, self.builds):
            self.builds.assume(file.relation, WHOLE, Version(file.code_version))

    # --------------------------------------------------------------------- what Python writes

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
        stale = stale_scores(self.project, self.tables, self.builds, newest)
        reasons: dict[str, Reason] = {}
        for table in (table for table in self.tables if not table.is_trained):
            for key in stale:
                if table.is_stale(self.project, self.builds, key):
                    reasons.setdefault(table.relation, Reason(table.relation, self._why_table(table, key)))
                    self._build_table(table, key)
        self._add("scores", SCORES, stale, list(reasons.values()))
        if stale:
            self._assume_all(self._stale_readers())

    def _plan_views(self, keys: Sequence[str]) -> None:
        """Views of what Python writes that no run of the scores makes."""
        reasons = [Reason(view.relation, self._why_file(view.relation)) for view in self._stale_readers()]
        if reasons:
            self._add("views", SCORES, keys[-1:], reasons, only_assets=True)

    def _stale_readers(self) -> list[Model]:
        return stale_readers(self.project, self.tables, self.builds)

    def _assume_all(self, views: Iterable[Model]) -> None:
        for view in views:
            self.builds.assume(view.relation, WHOLE, Version(view.code_version))

    def _build_table(self, table: AnyTable, key: str) -> None:
        self.builds.assume(table.relation, key, table.expected(self.project, self.builds, key))

    # -------------------------------------------------------------------------------- reasons

    def _why_trained(self, table: AnyTable, key: str) -> str:
        if self.builds.stored(table.relation, key) is None:
            return "a model is due"
        if not table.is_stale(self.project, self.builds, key):
            return "an earlier model that it carries on is trained again"
        return self._why_table(table, key)

    def _why_table(self, table: AnyTable, key: str) -> str:
        expected = table.expected(self.project, self.builds, key)
        why = self._why(table.relation, key, expected, table.reads, SNAPSHOT)
        written, trained = self.builds.written(table.relation, key), table.model_key(self.builds, key)
        if table.model is None or trained is None or not why.startswith("inputs"):
            return why
        newer = self.builds.written(table.model.relation, trained) > written
        return f"inputs changed: {table.model.relation} of {trained}" if newer else why

    def _why(self, relation: str, key: str, expected: Version, refs: Iterable[str], window: str) -> str:
        stored = self.builds.stored(relation, key)
        if stored is None:
            return "missing"
        if stored.code != expected.code:
            return "its code changed"
        than = self.builds.written(relation, key)
        newer = self.builds.newer_inputs(self.project, refs, window, key, than)
        return f"inputs changed: {_some(newer, _MOST_INPUTS)}" if newer else "inputs changed"

    def _differs(self, relation: str, key: str, expected: Version) -> bool:
        stored = self.builds.stored(relation, key)
        return stored is None or stored.hash != expected.hash

    def _why_file(self, relation: str) -> str:
        return "missing" if self.builds.stored(relation) is None else "its file changed"

    def _add(
        self, stage: str, job: str, keys: Sequence[str], reasons: Sequence[Reason], only_assets: bool = False
    ) -> None:
        assets = tuple(dict.fromkeys(reason.relation for reason in reasons))
        for first, last in ranges(keys):
            self._steps.append(Step(stage, job, first, last, assets, only_assets, _told(reasons)))


def _told(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """Reasons in few lines: relations that share one are told together, causes before what follows from them."""
    together: dict[str, list[str]] = {}
    for reason in sorted(reasons, key=lambda reason: reason.why.startswith("inputs")):
        together.setdefault(reason.why, []).append(reason.relation)
    lines = [f"{_some(relations, _MOST_INPUTS)}: {why}" for why, relations in together.items()]
    rest = len(lines) - _MOST_REASONS
    return (*lines[:_MOST_REASONS], *([f"and {rest} more reasons"] if rest > 0 else []))


def _some(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
