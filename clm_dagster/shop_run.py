"""`clm run` and `clm plan`: bring a shop up to date, or show what that would run.

Belongs here: pulling, landing, then the stages of the plan in order. Does not: what has to run and why (`planning`),
the runs of a stage (`stage_runs`), terminal output (`cli`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.connect.assets import PULL
from clm_dagster.domains.connect.config import read_connectors
from clm_dagster.domains.connect.settings import ConnectSettings
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.inbox import update_files
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.sensors import LAND
from clm_dagster.domains.ingest.source import LandedFiles, ShopSource
from clm_dagster.domains.ingest.stopping import reason_to_stop
from clm_dagster.platform.build_ledger.calendar import forget_snapshots, has_snapshots_off_calendar
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.building import time_column
from clm_dagster.platform.dbt_project.project import SNAPSHOT
from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.naming import name_of
from clm_dagster.platform.partitions import parse_day, snapshot_label
from clm_dagster.platform.planning import STAGES, Plan, Planner
from clm_dagster.platform.publish.publishing import is_published, published_place
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.platform.runs import Begin, Run, RunFailedError, execute, open_instance
from clm_dagster.platform.trained_models.lost import read_builds
from clm_dagster.platform.warehouse import Connection
from clm_dagster.platform.whole_run import wait_for_runs, whole_run
from clm_dagster.runner.stage_runs import StageRuns, span_of
from clm_dagster.settings import Settings, record_last_run, unset_dates
from clm_dagster.shop_alerts import alerts_at_end

# Called with a message for people.
Say = Callable[[str], None]
# A longer history is probably caused by a wrong date that happens to parse.
_MAX_HISTORY_DAYS = 3_660
# How often a stage runs until nothing of it is stale. A day may change another day: a line that arrives late makes an
# earlier day the first of its order. One more round settles that; more than a few would never end.
_MOST_ROUNDS = {"days": 5}
# What `clm run --no-models` leaves out.
MODEL_STAGES = ("models", "scores", "views")


def _say_nothing(text: str) -> None:
    """Print no message."""


@dataclass
class Report:
    """Result of a shop run."""

    settings: Settings
    runs: list[Run] = field(default_factory=list)
    dead_runs: list[str] = field(default_factory=list)
    waiting: str = ""
    left_out: str = ""

    @property
    def is_up_to_date(self) -> bool:
        """Whether nothing had to run after pulling and landing."""
        return {run.job for run in self.runs} <= {name_of(self.settings, job) for job in (PULL, LAND)}

    @property
    def notes(self) -> list[str]:
        """What a person should know about the run, as sentences."""
        killed = f"Marked {len(self.dead_runs)} run(s) as failed because their process was killed."
        nothing = "Everything is up to date; nothing had to run."
        is_done = self.is_up_to_date and not self.left_out
        found = (killed if self.dead_runs else "", nothing if is_done else "", self.left_out, self.waiting)
        return [note for note in found if note]


@dataclass(frozen=True)
class RunPreview:
    """What a shop run would do: the files to land, and the plan for the files already landed."""

    settings: Settings
    new_files: tuple[Path, ...]
    plan: Plan


@dataclass(frozen=True)
class _LandedShop:
    """A shop with its landed files: all that planning needs, except the build ledger."""

    shop: Shop
    source: ShopSource
    landed: LandedFiles
    tables: Sequence[AnyTable]

    @classmethod
    def open(cls, settings: Settings) -> "_LandedShop":
        """Read the SQL project, the domains' tables and the landing area."""
        shop = Shop.open(settings)
        source = ShopSource.open(settings, shop.project)
        tables = tables_of(build_domains(shop), shop.project)
        return cls(shop, source, LandedFiles.read(source), tables)

    @property
    def settings(self) -> Settings:
        return self.shop.settings

    def plan(self) -> Plan:
        """Read the build ledger once and plan from it. Change nothing.

        A training whose model MLflow does not have counts as missing.
        """
        with warehouse_of(self.settings).connect_read_only("plan") as connection:
            builds, lost = (
                (Builds(), {})
                if connection is None
                else read_builds(connection, tracking_of(self.settings), self.tables)
            )
        planner = Planner(
            self.settings, self.shop.project, self.tables, self.landed, builds, is_published(self.settings)
        )
        return replace(planner.plan(), lost=lost)

    def stop_if_rejected(self, only_if_loaded: bool = False) -> None:
        """Raise InputError if a loaded delivery has too many rejected rows, or no row is accepted.

        only_if_loaded: not before everything that is landed is also loaded.
        """
        source, deliveries = self.source, self.landed.deliveries
        with warehouse_of(self.settings).connect_read_only("rejected rows") as connection:
            if connection is None or connection.relation_kind("raw.skips") is None:
                return  # nothing is loaded, or by a version that did not know of feeds
            builds = Builds.read(connection)
            if only_if_loaded and any(source.pending(builds, deliveries, table) for table in source.contract):
                return
            for table in source.adapter.tables:
                reason = reason_to_stop(connection, source, deliveries, table)
                if reason:
                    raise InputError(reason)


def plan_shop(settings: Settings) -> RunPreview:
    """Return what `run_shop` would do now. Change nothing. Raise InputError, SettingsError."""
    shop = _LandedShop.open(settings)
    new = shop.source.landing.new_files(settings.input, shop.source.adapter)
    return _planned(shop, new)


def plan_landed(settings: Settings) -> tuple[Settings, Plan]:
    """Return the settings with measured dates, and the plan for the files that are landed. Change nothing."""
    preview = _planned(_LandedShop.open(settings), [])
    return preview.settings, preview.plan


def _planned(shop: _LandedShop, new: Sequence[Path]) -> RunPreview:
    if not shop.landed.deliveries:
        return RunPreview(shop.settings, tuple(new), Plan())
    measured = _measured_dates(shop.settings, shop.landed.deliveries)
    if measured:
        shop = _LandedShop.open(shop.settings.replace(**measured))
    return RunPreview(shop.settings, tuple(new), shop.plan())


def run_shop(settings: Settings, begin: Begin, say: Say = _say_nothing, models: bool = True) -> Report:
    """Pull if there are connectors, land new files, then run the plan stage by stage, as Dagster runs.

    After each stage that ran something, the rest is planned again; days are repeated until none is stale, because
    loading a day may change others. Segments are published before models are trained, and models before they score.
    Another `clm run` of the shop, and runs that Dagster has started, are waited for. Raise InputError, also if too many
    rows are rejected, RunFailedError, SettingsError, ShopBusyError.

    say: called with messages for people. models: whether models are trained and score.
    """
    report = Report(settings)
    with (
        open_instance(settings) as instance,
        whole_run(settings, say),
        alerts_at_end(instance, lambda: report.settings, say),
    ):
        report.dead_runs = wait_for_runs(settings, instance, say)
        tracking_of(settings).upkeep()
        definitions = build_definitions(settings)
        connectors = read_connectors(settings.of(ConnectSettings).connectors, settings)
        if connectors:
            count = sum(len(connector.tables) for connector in connectors)
            report.runs.append(
                execute(definitions, instance, name_of(settings, PULL), None, begin("Pulling", count))
            )
        report.runs.append(
            execute(definitions, instance, name_of(settings, LAND), None, begin("Landing new files", 1))
        )
        shop = _LandedShop.open(settings)
        update_files(warehouse_of(settings), shop.source.landing)
        measured = _measured_dates(settings, shop.landed.deliveries)
        if measured:
            settings = report.settings = settings.replace(**measured)
            definitions, shop = build_definitions(settings), _LandedShop.open(settings)
        record_last_run(settings, measured)
        _forget_snapshots(shop)
        plan = shop.plan()
        if models and plan.lost:
            say(_what_is_lost(settings, plan))
        shop.stop_if_rejected(only_if_loaded=True)
        runs = StageRuns(settings, definitions, instance, shop.shop.project, shop.tables, begin)
        if models and any(plan.of(stage) for stage in MODEL_STAGES):
            runs.prepare()
        for stage in STAGES:
            if stage in MODEL_STAGES and not models:
                continue
            for _ in range(_MOST_ROUNDS.get(stage, 1)):
                steps = plan.of(stage)
                if not steps:
                    break
                if stage == "models":
                    say(_what_comes(settings, plan))
                try:
                    report.runs += runs.run(stage, steps)
                except RunFailedError:
                    shop.stop_if_rejected()  # says the same as the failed check, and nothing else
                    raise
                plan = shop.plan()
        if not models:
            report.left_out = _left_out(plan, settings.end_date)
            if not is_published(settings):
                report.runs += runs.publish()
    report.waiting = plan.waiting
    return report


def _what_comes(settings: Settings, plan: Plan) -> str:
    """Return what can be read while models are trained, and what is still to come."""
    return (
        f"Customers, segments and lifecycle stages are published in {published_place(settings)}; `clm summary` shows "
        f"them. Still to come: {_model_work(plan, settings.end_date)}."
    )


def _what_is_lost(settings: Settings, plan: Plan) -> str:
    """Return which models MLflow does not have any more."""
    each = "; ".join(f"{name} for {', '.join(keys)}" for name, keys in plan.lost.items())
    return (
        f"The MLflow store {settings.tracking_uri} does not have the models of {each}. Those that are due are trained "
        "again."
    )


def _left_out(plan: Plan, end_date: date | None) -> str:
    """Return what was left out without models; empty where nothing is due."""
    if not any(plan.of(stage) for stage in MODEL_STAGES):
        return ""
    return f"Left out: {_model_work(plan, end_date)}. `clm run` without --no-models does it."


def _model_work(plan: Plan, end_date: date | None) -> str:
    trainings = sum(len(step.assets) for step in plan.of("models"))
    dates = sorted({step.first for step in plan.of("models")})
    scores = plan.of("scores")
    parts = []
    if trainings:
        parts.append(f"{trainings} trainings of {', '.join(snapshot_label(key, end_date) for key in dates)}")
    if scores:
        parts.append(f"scores of {span_of(scores, end_date)}")
    return ", ".join(parts) or "views over scores"


def _forget_snapshots(shop: _LandedShop) -> None:
    """Delete all snapshots that are not on the calendar any more, for example since the shop's end date moved."""
    project = shop.shop.project
    columns = {m.relation: time_column(m) for m in project.models.values() if m.window == SNAPSHOT}
    columns |= {n.relation: "as_of" for name, n in project.nodes.items() if project.is_python_table(name)}
    warehouse = warehouse_of(shop.settings)
    with warehouse.connect_read_only("calendar") as connection:
        if connection is None or not has_snapshots_off_calendar(connection, columns, shop.settings):
            return

    def forget(connection: Connection) -> None:
        for relation, column in columns.items():
            forget_snapshots(connection, relation, column, shop.settings)

    with warehouse.connect("calendar") as opened:
        opened.run_transaction(partial(forget, opened))


def _measured_dates(settings: Settings, deliveries: Sequence[Delivery]) -> dict[str, date]:
    """Return start and end date from the landed files, where neither the user nor the adapter sets them.

    Raise InputError if they span more than ten years.
    """
    unset = unset_dates(settings)
    if "start_date" not in unset:
        return {}  # a start date without an end date means that the shop is still open
    days = sorted(
        day for d in deliveries for feed in d.of_table("events").values() for day in feed.days if day
    )
    if not days:
        raise InputError(
            f"no row of {settings.input} has a readable timestamp; check `time` in the adapter "
            f"{settings.source} and the column that it reads"
        )
    first, last = parse_day(days[0]), parse_day(days[-1])
    if (last - first).days > _MAX_HISTORY_DAYS:
        raise InputError(
            f"the files of {settings.input} span {first} to {last}, more than {_MAX_HISTORY_DAYS} days; some dates "
            "are probably wrong. Set CLM_START_DATE and CLM_END_DATE; rows outside are rejected."
        )
    found = {"start_date": first, "end_date": last + timedelta(days=1)}
    return {name: day for name, day in found.items() if name in unset}
