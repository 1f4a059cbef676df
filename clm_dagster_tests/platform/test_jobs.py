"""What runs together and when: jobs, schedule ticks, sensors, freshness."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.ingest.assets import LANDING, TOUCHED
from clm_dagster.platform.jobs import (
    DAILY,
    LAND,
    MODELS,
    PUBLISH,
    SCORES,
    SNAPSHOTS,
    build_schedules,
    build_sensors,
    range_tags,
)  # fmt: skip
from clm_dagster.settings import Settings

LONDON = ZoneInfo("Europe/London")
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def live(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(end_date=None)


# -------------------------------------------------------------------------------------- jobs


def selected(definitions: dg.Definitions, job: str) -> set[str]:
    return {
        key.to_user_string() for key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys
    }


def test_jobs_hold_what_runs_together(definitions: dg.Definitions) -> None:
    everything = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    weekly = {
        "core/customer_categories", "core/customer_features", "core/rfm_scores", "marts/rfm_segments",
        "core/churn_labels", "core/demand_keys", "core/value_labels",
        "core/repurchase_survival", "core/lifecycle_cutoffs", "core/stage_states", "marts/lifecycle_stages",
        "marts/stage_transitions", "marts/segment_moves",
    }  # fmt: skip
    models = {
        "models/persona_model", "models/churn_model", "models/value_model", "models/demand_model",
        "models/recommender_model",
    }  # fmt: skip
    scores = {
        "marts/personas", "marts/persona_profiles", "marts/churn_scores", "marts/feature_drift",
        "marts/model_scorecard", "marts/churn_contest", "marts/churn_fairness", "marts/customer_value",
        "marts/value_expectations", "marts/value_by_segment", "marts/value_contest", "marts/value_deciles",
        "marts/value_tracking", "marts/demand_calendar", "marts/demand_contest", "marts/demand_forecasts",
        "marts/forecast_accuracy", "marts/reorder_points",
        "marts/recommendations", "marts/popular_products", "marts/similar_products", "marts/product_affinity",
        "marts/basket_rules",
        "marts/recommender_contest", "marts/recommender_by_segment",
    }  # fmt: skip
    assert selected(definitions, MODELS) == models
    assert selected(definitions, SCORES) == scores | {"published/warehouse"}
    assert selected(definitions, LAND) == {"landing/files"}
    assert selected(definitions, DAILY) == everything - weekly - models - scores
    assert weekly | {"published/warehouse", "staging/rfm_segment_map"} <= selected(definitions, SNAPSHOTS)
    assert not {"raw/events", "core/customer_daily", "landing/files"} & selected(definitions, SNAPSHOTS)
    assert selected(definitions, PUBLISH) == {"published/warehouse"}


def test_every_backfill_is_one_run(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    partitioned = [graph.get(k) for k in graph.get_all_asset_keys() if graph.get(k).is_partitioned]
    assert len(partitioned) == 33
    assert {node.backfill_policy for node in partitioned} == {dg.BackfillPolicy.single_run()}


def test_steps_share_a_process(definitions: dg.Definitions) -> None:
    assert definitions.resolve_job_def(DAILY).executor_def is dg.in_process_executor


@pytest.mark.parametrize("job", [LAND, DAILY, SNAPSHOTS, PUBLISH])
def test_every_job_says_what_it_is_for(job: str, definitions: dg.Definitions) -> None:
    assert definitions.resolve_job_def(job).description


# --------------------------------------------------------------------------------- schedules


def tick(settings: Settings, name: str, at: datetime) -> Any:
    (schedule,) = [schedule for schedule in build_schedules(settings) if schedule.name == name]
    assert schedule.execution_timezone == settings.timezone
    # Dagster looks a partition key up in the job; the daily schedule asks for a range by tags.
    known = build_definitions(settings).get_repository_def() if name == "snapshot_schedule" else None
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=at, repository_def=known
        )
        return schedule.evaluate_tick(context)


def london(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=LONDON)  # type: ignore[arg-type]


def test_the_daily_schedule_loads_yesterday_and_reads_back_in_one_run(live: Settings) -> None:
    (request,) = tick(live, "daily_schedule", london(2024, 6, 12, 3)).run_requests
    assert request.run_key == "daily 2024-06-11"
    assert {k: v for k, v in request.tags.items() if "range" in k} == range_tags("2024-06-08", "2024-06-11")


def test_the_look_back_does_not_reach_before_the_shop(
    live: Settings, settings_for: Callable[..., Settings]
) -> None:
    (request,) = tick(live, "daily_schedule", london(2024, 1, 2, 3)).run_requests
    assert (request.tags[START], request.tags[END]) == ("2024-01-01", "2024-01-01")
    alone = settings_for(end_date=None, lookback_days=0)
    (request,) = tick(alone, "daily_schedule", london(2024, 6, 12, 3)).run_requests
    assert (request.tags[START], request.tags[END]) == ("2024-06-11", "2024-06-11")


@pytest.mark.parametrize("day", [(2024, 3, 31), (2024, 4, 1), (2024, 10, 27), (2024, 10, 28), (2024, 2, 29)])
def test_the_daily_schedule_ticks_on_days_of_other_lengths(day: tuple[int, ...], live: Settings) -> None:
    (request,) = tick(live, "daily_schedule", london(*day, 3)).run_requests
    assert request.tags[END] == (london(*day).date() - timedelta(days=1)).isoformat()


def test_the_weekly_schedule_takes_the_week_that_has_ended(live: Settings) -> None:
    (request,) = tick(live, "snapshot_schedule", london(2024, 6, 10, 3, 30)).run_requests
    assert (request.tags["dagster/partition"], request.run_key) == ("2024-06-03", "snapshot 2024-06-03")


@pytest.mark.parametrize("name", ["daily_schedule", "snapshot_schedule"])
def test_a_historical_shop_is_skipped_with_a_reason_once_its_dates_are_over(
    name: str, settings: Settings
) -> None:
    result = tick(settings, name, london(2024, 6, 10, 3, 30))
    assert not result.run_requests
    assert "the shop's dates end at 2024-03-01 (setting CLM_END_DATE)" in result.skip_message
    within = tick(settings, name, london(2024, 2, 12, 3, 30))
    assert len(within.run_requests) == 1


@pytest.mark.parametrize("name", ["daily_schedule", "snapshot_schedule"])
def test_before_the_first_day_has_ended_there_is_nothing_to_do(name: str, live: Settings) -> None:
    result = tick(live, name, london(2024, 1, 1, 0))
    assert "the shop's dates begin at 2024-01-01: no partition has ended yet" in result.skip_message


def test_what_a_tick_asks_for_can_run(definitions: dg.Definitions, settings: Settings) -> None:
    for name, job in (("daily_schedule", DAILY), ("snapshot_schedule", SNAPSHOTS)):
        (request,) = tick(settings, name, london(2024, 2, 12, 3, 30)).run_requests
        keys = definitions.resolve_job_def(job).partitions_def.get_partition_keys()
        wanted = {request.tags.get(tag) for tag in ("dagster/partition", START, END)} - {None}
        assert wanted and wanted <= set(keys)


# ----------------------------------------------------------------------------------- sensors


def sensor(settings: Settings, name: str) -> Any:
    (found,) = [sensor for sensor in build_sensors(settings) if sensor.name == name]
    return found


def test_the_sensor_on_files_asks_once_for_what_is_new(
    settings: Settings, write_inbox: Callable[..., Path], instance: dg.DagsterInstance
) -> None:
    look = sensor(settings, "new_files")
    assert look.job_name == LAND

    def evaluate(cursor: str | None) -> Any:
        return look.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))

    nothing = evaluate(None)
    assert not nothing.run_requests and settings.input in nothing.skip_message
    path = write_inbox(pd.DataFrame({"event_id": ["a"]}))
    first = evaluate(None)
    assert len(first.run_requests) == 1
    again = evaluate(first.cursor)
    assert not again.run_requests and "nothing new at" in again.skip_message
    path.write_text("event_id\nb\nc\n")
    changed = evaluate(first.cursor)
    assert len(changed.run_requests) == 1
    write_inbox(pd.DataFrame({"event_id": ["d"]}), "more/events_2.csv")
    assert len(evaluate(changed.cursor).run_requests) == 1


def landed(instance: dg.DagsterInstance, days: list[str]) -> None:
    @dg.asset(key=LANDING)
    def files() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={TOUCHED: days})

    dg.materialize([files], instance=instance)


def touched(settings: Settings, instance: dg.DagsterInstance) -> Any:
    look = sensor(settings, "touched_days")
    assert look.job_name == DAILY
    definitions = build_definitions(settings)
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    return look.evaluate_tick(context)


def test_days_that_new_files_touch_are_loaded_however_old(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    landed(instance, ["2024-01-02", "2024-01-05", "2024-02-20"])
    result = touched(settings, instance)
    assert [(r.tags[START], r.tags[END]) for r in result.run_requests] == [
        ("2024-01-02", "2024-01-05"),
        ("2024-02-20", "2024-02-20"),
    ]
    assert len({request.run_key for request in result.run_requests}) == 2


@pytest.mark.parametrize("days", [[], ["1999-01-01", "2030-01-01"]])
def test_a_landing_that_touches_no_day_of_the_shop_asks_for_nothing(
    days: list[str], settings: Settings, instance: dg.DagsterInstance
) -> None:
    landed(instance, days)
    result = touched(settings, instance)
    assert not result.run_requests and "no day" in result.skip_message


# ---------------------------------------------------------------------------------- failures


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """A server on this machine that keeps what is posted to it."""
    posted: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", posted
    server.shutdown()
    server.server_close()
    thread.join()


def failed_run(instance: dg.DagsterInstance) -> dg.RunFailureSensorContext:
    @dg.op
    def load() -> None:
        raise ValueError("the file has no column event_id")

    @dg.job(name=DAILY)
    def daily() -> None:
        load()

    result = daily.execute_in_process(
        instance=instance, raise_on_error=False, tags=range_tags("2024-01-02", "2024-01-05")
    )
    return dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.filter_events(lambda event: event.is_run_failure)[0],
    ).for_run_failure()  # fmt: skip


def test_a_failed_run_is_posted(
    settings_for: Callable[..., Settings], webhook: tuple[str, list[Any]], instance: dg.DagsterInstance
) -> None:
    url, posted = webhook
    post_failures = sensor(settings_for(webhook_url=url), "failed_runs")
    context = failed_run(instance)
    assert post_failures(context) is None
    ((kind, message),) = posted
    assert kind == "application/json"
    assert (message["job"], message["partition"]) == (DAILY, "2024-01-02")
    assert message["run_id"] == context.dagster_run.run_id
    assert "the file has no column event_id" in message["error"]
    assert message["text"].startswith("clm_dagster: daily 2024-01-02 failed: load: ")


def test_without_a_webhook_the_tick_says_so(settings: Settings, instance: dg.DagsterInstance) -> None:
    result = sensor(settings, "failed_runs")(failed_run(instance))
    assert isinstance(result, dg.SkipReason)
    assert "CLM_WEBHOOK_URL" in str(result.skip_message)


def test_a_webhook_that_nobody_answers_is_an_error_of_the_tick(
    settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    nowhere = sensor(settings_for(webhook_url="http://127.0.0.1:9/"), "failed_runs")
    with pytest.raises(OSError):
        nowhere(failed_run(instance))


def test_failures_are_watched_from_the_start_and_nothing_else_is(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    running = {s.name for s in repository.sensor_defs if s.default_status == dg.DefaultSensorStatus.RUNNING}
    assert running == {"failed_runs"}
    assert {s.name for s in repository.schedule_defs} == {
        "daily_schedule", "snapshot_schedule", "train_schedule", "score_schedule",
    }  # fmt: skip
    assert all(s.default_status == dg.DefaultScheduleStatus.STOPPED for s in repository.schedule_defs)


# --------------------------------------------------------------------------------- freshness


def policies(settings: Settings) -> dict[str, Any]:
    graph = build_definitions(settings).resolve_asset_graph()
    keys = graph.get_all_asset_keys()
    return {key.to_user_string(): graph.get(key).freshness_policy for key in keys}


def test_a_live_shop_has_to_be_fresh_and_a_historical_one_cannot_be(
    live: Settings, settings: Settings
) -> None:
    assert set(policies(settings).values()) == {None}
    found = policies(live)
    for key in (
        "landing/files",
        "raw/events",
        "core/customer_daily",
        "core/product_daily",
        "core/totals_daily",
    ):
        assert found[key].fail_window.to_timedelta() == timedelta(days=2), key
    for key in ("core/customer_features", "core/rfm_scores", "marts/rfm_segments"):
        assert found[key].fail_window.to_timedelta() == timedelta(days=9), key
    # Rules that people edit do not grow old.
    assert found["staging/rfm_segment_map"] is None


def test_time_is_the_shops_own(settings_for: Callable[..., Settings]) -> None:
    tokyo = settings_for(end_date=None, timezone="Asia/Tokyo")
    at = datetime(2024, 6, 11, 18, tzinfo=UTC)  # 03:00 on the 12th in Tokyo
    (request,) = tick(tokyo, "daily_schedule", at.astimezone(ZoneInfo("Asia/Tokyo"))).run_requests
    assert request.tags[END] == "2024-06-11"
