"""Planning from a ledger: stages that depend on each other, and their reasons."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from clm_dagster.domains.personas.tables import persona_tables
from clm_dagster.platform.build_ledger.versions import Builds, Version
from clm_dagster.platform.planning import Plan, Planner
from clm_dagster.platform.resources import load_sql
from clm_dagster.settings import Settings

DAYS = [(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in range(14)]


@dataclass(frozen=True)
class LandedDays:
    """Two weeks, some days of which are not loaded yet."""

    waiting: tuple[str, ...] = ()
    end: date = date(2024, 1, 15)

    def day_keys(self) -> list[str]:
        return DAYS

    def data_end(self) -> date:
        return self.end

    def pending_days(self, builds: Builds) -> list[str]:
        return list(self.waiting)

    def has_pending_tables(self, builds: Builds) -> bool:
        return False

    def day_version(self, key: str) -> str:
        return key


def plan(
    settings: Settings, builds: Builds, waiting: tuple[str, ...] = (), end: date = date(2024, 1, 15)
) -> Plan:
    project = load_sql(settings)
    return Planner(
        settings,
        project,
        persona_tables(project, settings),
        LandedDays(waiting, end),
        builds,
        published=True,
    ).plan()


def test_an_empty_warehouse_plans_everything_in_order(
    settings_for: Callable[..., Settings],
) -> None:
    settings = settings_for(end_date="2024-01-15", train_count=1)
    found = plan(settings, Builds(), tuple(DAYS))
    assert [(step.job, step.first, step.last) for step in found.steps] == [
        ("daily", DAYS[0], DAYS[-1]),
        ("snapshots", "2024-01-01", "2024-01-08"),
        ("models", "2024-01-08", "2024-01-08"),
        ("scores", "2024-01-08", "2024-01-08"),
    ]
    (models,) = found.of("models")
    assert (models.assets, models.only_assets) == (("models.persona_model",), True)
    assert models.reasons == ("models.persona_model: a model is due",)
    assert any("missing" in reason for reason in found.of("scores")[0].reasons)


def test_a_snapshot_waits_for_the_days_before_its_as_of(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(end_date=None, train_count=1)
    late = plan(settings, Builds(), tuple(DAYS), end=date(2024, 1, 14))
    assert [(step.first, step.last) for step in late.of("snapshots")] == [("2024-01-01", "2024-01-01")]
    assert "Of the snapshot 2024-01-08 (as_of 2024-01-15), the last day has no events yet" in late.waiting
    there = plan(settings, Builds(), tuple(DAYS))
    assert (there.of("snapshots")[0].last, there.waiting) == ("2024-01-08", "")


def test_a_finished_plan_leaves_nothing_stale_and_late_rows_reach_every_stage(
    settings_for: Callable[..., Settings],
) -> None:
    settings = settings_for(end_date="2024-01-15", train_count=1)
    builds = Builds()
    plan(settings, builds, tuple(DAYS))  # assumes that everything is built
    assert plan(settings, builds).steps == ()
    found = plan(settings, builds, (DAYS[-1],))
    assert [(step.job, step.first) for step in found.steps] == [
        ("daily", DAYS[-1]),
        ("snapshots", "2024-01-08"),
        ("models", "2024-01-08"),
        ("scores", "2024-01-08"),
    ]
    assert found.of("days")[0].reasons[0] == "raw.events: landed but not loaded yet"
    assert "inputs changed" in found.of("models")[0].reasons[0]
    assert any(
        "models.persona_model of 2024-01-08 (as_of 2024-01-15)" in reason
        for reason in found.of("scores")[0].reasons
    )


def test_trainings_follow_the_one_that_they_build_on(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(end_date="2024-01-15", train_count=2, train_every_weeks=1)
    builds = Builds()
    plan(settings, builds, tuple(DAYS))
    builds.assume("models.persona_model", "2024-01-01", Version("other-inputs"))
    first, second = plan(settings, builds).of("models")
    assert (first.first, first.reasons) == ("2024-01-01", ("models.persona_model: code changed",))
    assert second.first == "2024-01-08"
