"""Declarative automation: the conditions of all assets, and the one run that their sensor requests."""

from collections.abc import Callable
from datetime import datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import freeze_time

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.assets.extras import Extras, sql_assets
from clm_dagster.platform.automation import automate
from clm_dagster.platform.declarative import SENSOR
from clm_dagster.platform.due_runs import JOBS, LOOKBACK_TAG, DueRuns
from clm_dagster.platform.job_names import RANGE_END, RANGE_START
from clm_dagster.platform.jobs import build_jobs
from clm_dagster.platform.python_tables.assets import python_asset
from clm_dagster.platform.resources import resources_of
from clm_dagster.platform.run_queue import JOB_TAG
from clm_dagster.settings import Settings
from clm_dagster_tests.platform.due import FIRST, LandedDays, at, build_all, due_runs, finish, forget

BUILT = ("days", "snapshots", "models", "scores", "views")
ORDER_DAYS, CUSTOMER_DAILY = dg.AssetKey(["core", "order_days"]), dg.AssetKey(["core", "customer_daily"])
FEATURES, PERSONAS = dg.AssetKey(["core", "customer_features"]), dg.AssetKey(["models", "persona_model"])


@pytest.fixture
def live(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(end_date=None, train_count=3, train_every_weeks=13, automation="declarative")


def definitions_of(due: DueRuns) -> dg.Definitions:
    """The SQL models and the given tables, as `definitions` puts them together."""
    settings, project = due.settings, due.project
    assets = [
        *sql_assets(project, settings, Extras()),
        *(python_asset(project, settings, table) for table in due.tables),
    ]
    automation = automate(due, assets, build_jobs(settings, assets))
    assert not automation.schedules
    return dg.Definitions(automation.assets, sensors=automation.sensors, resources=resources_of(settings))


def tick(
    definitions: dg.Definitions, instance: dg.DagsterInstance, now: datetime, name: str = SENSOR
) -> SensorExecutionData:
    context = dg.build_sensor_context(
        instance=instance, repository_def=definitions.get_repository_def(), sensor_name=name
    )
    with freeze_time(now):
        return definitions.resolve_sensor_def(name).evaluate_tick(context)


def request(evaluated: SensorExecutionData) -> dg.RunRequest:
    (found,) = evaluated.run_requests or ()
    return found


def test_a_shop_offers_schedules_or_conditions_never_both(settings_for: Callable[..., Settings]) -> None:
    schedules = build_definitions(settings_for()).get_repository_def()
    declarative = build_definitions(settings_for(automation="declarative")).get_repository_def()
    assert {s.name for s in schedules.sensor_defs} == {
        "new_files",
        "changed_days",
        "changed_snapshots",
        "alerts",
    }
    assert {s.name for s in declarative.sensor_defs} == {"new_files", SENSOR, "alerts"}
    assert len(schedules.schedule_defs) == 4 and not declarative.schedule_defs
    sensor = declarative.get_sensor_def(SENSOR)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    for repository, offered in ((schedules, False), (declarative, True)):
        graph = repository.asset_graph
        for job in JOBS:
            keys = repository.get_job(job).asset_layer.executable_asset_keys
            conditions = {key: graph.get(key).automation_condition for key in keys}
            assert {condition is not None for condition in conditions.values()} == {offered}
    (label,) = {c.get_label() for c in conditions.values() if c}
    assert label == "due by the build ledger"


def test_the_shops_of_a_deployment_have_a_sensor_each(settings_for: Callable[..., Settings]) -> None:
    shops = [
        build_definitions(settings_for(automation="declarative", asset_prefix=name)) for name in ("a", "b")
    ]
    names = {sensor.name for shop in shops for sensor in shop.get_repository_def().sensor_defs}
    assert {f"a_{SENSOR}", f"b_{SENSOR}"} <= names


def test_conditions_are_true_for_the_next_portion_and_the_sensor_requests_it_as_one_run(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live.replace(catch_up_days=10), LandedDays(30))
    definitions, now = definitions_of(due), at(live, "2024-01-31", 2)
    found = dg.evaluate_automation_conditions(definitions, instance, evaluation_time=now)
    days = [(FIRST + timedelta(days=number)).isoformat() for number in range(10)]
    assert found.get_requested_partitions(CUSTOMER_DAILY) == set(days)
    assert found.get_requested_partitions(ORDER_DAYS) == {None}
    assert found.get_num_requested(FEATURES) == found.get_num_requested(PERSONAS) == 0
    evaluated = tick(definitions, instance, now)
    run = request(evaluated)
    assert (run.tags[RANGE_START], run.tags[RANGE_END], run.tags[JOB_TAG]) == (days[0], days[-1], "daily")
    assert run.job_name == "__ASSET_JOB" and run.run_key and run.partition_key is None
    selected = set(run.asset_selection or ())
    assert {CUSTOMER_DAILY, ORDER_DAYS} <= selected and not {FEATURES, PERSONAS} & selected
    # The UI shows the result of each condition.
    shown = {e.key: e for e in evaluated.automation_condition_evaluations or ()}
    assert {key for key, result in shown.items() if not result.true_subset.is_empty} == selected
    assert shown[CUSTOMER_DAILY].true_subset.size == 10


def test_jobs_follow_each_other_and_a_tick_says_why_it_skips(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due, now = due_runs(live, LandedDays(120)), at(live, "2024-04-30", 2)
    definitions, jobs, built = definitions_of(due), list[str](), list[str]()
    for job, stages in zip(JOBS, BUILT, strict=False):
        run = request(tick(definitions, instance, now))
        jobs.append(run.tags[JOB_TAG])
        started = finish(instance, run, dg.DagsterRunStatus.STARTED, "__ASSET_JOB")
        meanwhile = tick(definitions, instance, now)
        assert f"the run {started.run_id} ({job}) is not finished" in str(meanwhile.skip_message)
        instance.report_run_canceled(started)
        built += [stages, *(["views"] if job == "scores" else [])]
        build_all(due, tuple(built), 120)
    assert jobs == list(JOBS)
    reason = tick(definitions, instance, now).skip_message
    assert (
        reason
        == "everything up to 2024-04-29 is up to date; no model is due; models are trained every 13 weeks"
    )


def test_a_model_is_trained_for_itself(live: Settings, instance: dg.DagsterInstance) -> None:
    due = due_runs(live, LandedDays(120))
    build_all(due, ("days", "snapshots"), 120)
    run = request(tick(definitions_of(due), instance, at(live, "2024-04-30", 2)))
    assert run.tags[JOB_TAG] == "models" and run.tags[RANGE_START] == run.tags[RANGE_END]
    assert list(run.asset_selection or ()) == [PERSONAS]


def test_late_rows_are_looked_for_once_a_day_and_again_after_a_failure(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(30))
    build_all(due, BUILT, 30)
    definitions, before = definitions_of(due), at(live, "2024-01-31", 2)
    assert "up to date" in str(tick(definitions, instance, before).skip_message)
    now = at(live, "2024-01-31", 3)
    run = request(tick(definitions, instance, now))
    assert (run.tags[RANGE_START], run.tags[RANGE_END]) == ("2024-01-27", "2024-01-30")
    assert run.tags[LOOKBACK_TAG] == "2024-01-31"
    finish(instance, run, dg.DagsterRunStatus.FAILURE, "__ASSET_JOB")
    again = request(tick(definitions, instance, now + timedelta(minutes=1)))
    assert again.tags[LOOKBACK_TAG] == "2024-01-31" and again.run_key != run.run_key
    finish(instance, again, dg.DagsterRunStatus.FAILURE, "__ASSET_JOB")
    assert "up to date" in str(tick(definitions, instance, now + timedelta(minutes=2)).skip_message)
    third = request(tick(definitions, instance, now + timedelta(hours=2)))
    finish(instance, third, dg.DagsterRunStatus.SUCCESS, "__ASSET_JOB")
    for hours in (3, 10, 20):
        assert "up to date" in str(tick(definitions, instance, now + timedelta(hours=hours)).skip_message)
    assert request(tick(definitions, instance, now + timedelta(days=1)))


def test_a_run_that_does_not_help_is_tried_ever_more_rarely(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(29))
    build_all(due, BUILT, 29)
    forget(live, "core.order_days", "2024-01-09")
    definitions, now, attempts = definitions_of(due), at(live, "2024-01-31", 2), list[int]()
    for minutes in (0, 10, 20, 69, 70, 100, 249, 250, 400, 669, 670, 900):
        evaluated = tick(definitions, instance, now + timedelta(minutes=minutes))
        for run in evaluated.run_requests or ():
            assert run.tags[RANGE_START] == "2024-01-09"
            attempts.append(minutes)
            finish(instance, run, dg.DagsterRunStatus.FAILURE, "__ASSET_JOB")
    assert attempts == [0, 10, 70, 250, 670]
