"""What a tick requests: the oldest portion of what is due, once, and again after a failure; and why it skips."""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import pytest

from clm_dagster.platform import ticks
from clm_dagster.platform.build_ledger.versions import Version, record
from clm_dagster.platform.due_runs import Waiting
from clm_dagster.platform.job_names import DAILY, MODELS, RANGE_END, RANGE_START, SCORES, SNAPSHOTS
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster_tests.platform.due import LandedDays, at, build_all, due_runs, finish, forget

DAYS, BUILT = ("days",), ("days", "snapshots")


@pytest.fixture
def live(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(end_date=None, train_count=3, train_every_weeks=13)


def span(request: object) -> tuple[str, str]:
    assert isinstance(request, dg.RunRequest), request
    return request.tags[RANGE_START], request.tags[RANGE_END]


def reason(found: object) -> str:
    assert isinstance(found, Waiting), found
    return found.reason


def test_a_hole_of_a_week_is_loaded_with_the_days_before_it(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(20))
    build_all(due, DAYS, 20)
    found = due.request(instance, "daily_schedule", DAILY, at(live, "2024-01-28"), lookback=True)
    # Nothing of 21 to 27 January has landed; the run itself lands it.
    assert span(found) == ("2024-01-21", "2024-01-27")
    # Without new files, a sensor does not look for days that have not landed.
    assert "up to date" in reason(due.request(instance, "a sensor", DAILY, at(live, "2024-01-28")))


def test_what_the_ledger_lacks_is_due_however_old_and_in_portions(
    settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    settings = settings_for(end_date=None, catch_up_days=5, catch_up_snapshots=2)
    due = due_runs(settings, LandedDays(50))
    now = at(settings, "2024-02-20")
    assert span(due.request(instance, "d", DAILY, now, lookback=True)) == ("2024-01-01", "2024-01-05")
    build_all(due, DAYS, 50)
    forget(settings, "core.order_days", "2024-01-09")
    assert span(due.request(instance, "d", DAILY, now)) == ("2024-01-09", "2024-01-09")
    waiting = due.request(instance, "s", SNAPSHOTS, now)
    assert reason(waiting).startswith("days 2024-01-09 comes first: core.order_days: missing")
    build_all(due, DAYS, 50)
    assert span(due.request(instance, "s", SNAPSHOTS, now)) == ("2024-01-01", "2024-01-08")


def test_only_partitions_that_have_ended_are_due(live: Settings, instance: dg.DagsterInstance) -> None:
    due = due_runs(live, LandedDays(50))
    build_all(due, DAYS, 50)
    monday, tuesday = at(live, "2024-01-15", 0), at(live, "2024-01-16")
    assert span(due.request(instance, "s", SNAPSHOTS, monday - timedelta(hours=1)))[1] == "2024-01-01"
    assert span(due.request(instance, "s", SNAPSHOTS, tuesday))[1] == "2024-01-08"
    before = due.request(instance, "d", DAILY, at(live, "2024-01-01", 0))
    assert reason(before) == "the shop's history starts on 2024-01-01: no partition has ended yet"


def test_a_snapshot_waits_for_the_last_day_of_its_week(live: Settings, instance: dg.DagsterInstance) -> None:
    due = due_runs(live, LandedDays(13))
    build_all(due, BUILT, 13)
    found = due.request(instance, "s", SNAPSHOTS, at(live, "2024-01-16"))
    assert "Of the snapshot 2024-01-08 (as_of 2024-01-15), the last day has no events yet" in reason(found)


def test_a_missed_monday_and_a_model_that_was_never_trained_are_due_later(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(120))
    build_all(due, BUILT, 120)
    # Training Mondays of this calendar, every thirteenth week since year 1.
    found = due.request(instance, "t", MODELS, at(live, "2024-04-25"))
    first, last = span(found)
    assert first == last and isinstance(found, dg.RunRequest)
    assert found.asset_selection == [dg.AssetKey(["models", "persona_model"])]
    scores = due.request(instance, "s", SCORES, at(live, "2024-04-25"))
    assert reason(scores).startswith(f"models {first} (as_of ")
    build_all(due, (*BUILT, "models"), 120)
    nothing = due.request(instance, "t", MODELS, at(live, "2024-04-25"))
    assert reason(nothing) == "no model is due; models are trained every 13 weeks"
    assert span(due.request(instance, "s", SCORES, at(live, "2024-04-25")))[0] >= first


def test_trainings_are_requested_one_at_a_time_oldest_first(
    settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    settings = settings_for(end_date=None, train_count=3, train_every_weeks=2)
    due = due_runs(settings, LandedDays(70))
    build_all(due, BUILT, 70)
    first = span(due.request(instance, "t", MODELS, at(settings, "2024-03-12")))
    build_all(due, (*BUILT, "models"), 70)
    forget(settings, "models.persona_model", first[0])
    assert span(due.request(instance, "t", MODELS, at(settings, "2024-03-12"))) == first
    assert first[0] == first[1] < "2024-02-12"


def test_no_run_is_requested_while_one_over_the_same_or_earlier_partitions_is_unfinished(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(20))
    now = at(live, "2024-01-21")
    request = dg.RunRequest()
    for job in ("daily", "land", "__ASSET_JOB"):
        run = finish(instance, request, dg.DagsterRunStatus.STARTED, job)
        waiting = due.request(instance, "d", DAILY, now)
        assert reason(waiting) == f"the run {run.run_id} ({job}) is not finished"
        assert isinstance(waiting, Waiting) and not waiting.is_settled
        instance.delete_run(run.run_id)
    # A training reads what the daily run writes, under the lock of the warehouse; it may take hours.
    training = finish(instance, request, dg.DagsterRunStatus.STARTED, "models")
    assert span(due.request(instance, "d", DAILY, now))
    assert training.run_id in reason(due.request(instance, "s", SCORES, now))


def test_a_schedule_and_a_sensor_do_not_request_the_same_run(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(20))
    now = at(live, "2024-01-21")
    request = due.request(instance, "daily_schedule", DAILY, now)
    assert "daily_schedule has just requested" in reason(due.request(instance, "changed_days", DAILY, now))
    finish(instance, request)
    assert span(due.request(instance, "changed_days", DAILY, now)) == span(request)


def test_a_failed_run_is_requested_again_ever_more_rarely(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(20))
    now, keys, attempts = at(live, "2024-01-21"), set(), []
    for hour in range(24 * 7):
        found = due.request(instance, "d", DAILY, now + timedelta(hours=hour))
        if isinstance(found, dg.RunRequest):
            attempts.append(hour)
            keys.add(found.run_key)
            last = finish(instance, found)
        else:
            assert f"requested {len(attempts)} times and still due; the last run is {last.run_id}" in reason(
                found
            )
    # At the next tick, then after an hour, three, seven ...
    assert attempts == [0, 1, 2, 5, 12, 27, 58, 121] and len(keys) == len(attempts)


def test_new_rows_are_a_reason_to_try_again_and_other_days_are_not_kept_waiting(
    settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    settings = settings_for(end_date=None, catch_up_days=10)
    landed = LandedDays(30)
    due = due_runs(settings, landed)
    now = at(settings, "2024-01-31")
    for _ in range(2):
        request = due.request(instance, "d", DAILY, now)
        assert span(request) == ("2024-01-01", "2024-01-10")
        finish(instance, request)
    assert span(due.request(instance, "d", DAILY, now)) == ("2024-01-11", "2024-01-20")
    landed.pending = ("2024-01-01",)
    assert span(due.request(instance, "d", DAILY, now)) == ("2024-01-01", "2024-01-10")


def test_scores_do_not_wait_for_ever_for_a_training_that_fails(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(120))
    build_all(due, (*BUILT, "models"), 120)
    now = at(live, "2024-04-25")
    first, _ = span(due.request(instance, "s", SCORES, now))
    build_all(due, (*BUILT, "models", "scores", "views"), 120)
    with warehouse_of(live).connect("a test") as connection:
        trained = connection.scalar(
            "select max(partition_key) from raw.builds where relation = 'models.persona_model'"
        )
        record(connection, "models.persona_model", [(trained, Version("earlier"), 1)], "a run")
    for _ in range(2):
        request = due.request(instance, "t", MODELS, now)
        assert reason(due.request(instance, "s", SCORES, now)).startswith(f"models {trained}")
        finish(instance, request, job="models")
    # The scores go on with the model that is there.
    assert span(due.request(instance, "s", SCORES, now))[0] >= first


def test_a_model_that_mlflow_has_lost_is_due_and_days_do_not_look_for_it(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(120))
    build_all(due, (*BUILT, "models", "scores", "views"), 120)
    now = at(live, "2024-04-25")
    assert reason(due.request(instance, "t", MODELS, now)).startswith("no model is due")
    with warehouse_of(live).connect("a test") as connection:
        trained = connection.scalar(
            "select max(partition_key) from raw.builds where relation = 'models.persona_model'"
        )
        # Its as_of is the Monday after the key; there is no MLflow store in the data folder.
        connection.execute(
            "create table models.persona_model as select '1' as model_version, 'a run' as mlflow_run_id, "
            f"timestamp '{trained}' + interval 7 days as as_of"
        )
    assert reason(due.request(instance, "s", SCORES, now)).startswith(f"models {trained} (as_of ")
    assert span(due.request(instance, "t", MODELS, now)) == (trained, trained)
    assert "up to date" in reason(due.request(instance, "d", DAILY, now))
    assert "up to date" in reason(due.request(instance, "s", SNAPSHOTS, now))


def test_late_rows_of_the_newest_days_are_looked_for_once_a_day(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(live, LandedDays(60))
    build_all(due, DAYS, 60)
    found = due.request(instance, "d", DAILY, at(live, "2024-02-12"), lookback=True)
    assert span(found) == ("2024-02-08", "2024-02-11")


def test_a_shop_that_has_ended_is_up_to_date_at_its_end(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    due = due_runs(settings, LandedDays(60))
    build_all(due, BUILT, 63)
    found = due.request(instance, "d", DAILY, at(settings, "2024-06-10"), lookback=True)
    assert "the shop's history ends on 2024-03-01 (setting CLM_END_DATE)" in reason(found)
    forget(settings, "core.order_days", "2024-01-09")
    assert span(due.request(instance, "d", DAILY, at(settings, "2024-06-10"))) == ("2024-01-09", "2024-01-09")


def test_a_tick_does_not_wait_long_for_the_warehouse(
    live: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_WAIT", 0.1)
    due = due_runs(live, LandedDays(20))
    build_all(due, DAYS, 20)
    forget(live, "core.order_days", "2024-01-09")
    with warehouse_of(live).connect("a long step"):
        assert "a long step" in reason(due.request(instance, "d", DAILY, at(live, "2024-01-21")))
    assert span(due.request(instance, "d", DAILY, at(live, "2024-01-21")))
