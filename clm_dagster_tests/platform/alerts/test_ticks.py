"""What people get to know, over a sequence of ticks: each problem once, again if it is worse, and when it is solved."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from filelock import FileLock

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.alerts.sensor import AlertsError
from clm_dagster.platform.job_names import DAILY, range_tags
from clm_dagster.platform.runs import close_dead_runs
from clm_dagster.settings import Settings
from clm_dagster_tests.platform.alerts.servers import Mailbox, Receiver, mail_server, web_server
from clm_dagster_tests.platform.alerts.shop import (
    DRIFT,
    FEW_REJECTS,
    GATE,
    REJECTED_SHARE,
    WatchedShop,
    job,
)


@pytest.fixture
def web() -> Iterator[Receiver]:
    with web_server() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


@pytest.fixture
def shop_for(
    settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> Callable[..., WatchedShop]:
    return lambda **overrides: WatchedShop(settings_for(**overrides), instance)


def sent(receiver: Receiver) -> list[tuple[str, str, str]]:
    """Return and forget what was sent, as (news, level, start of the title)."""
    found = [
        (a["news"], a["level"], a["title"].split(":")[0]) for body in receiver.taken for a in body["alerts"]
    ]
    receiver.taken.clear()
    return found


def test_a_week_of_problems(shop_for: Callable[..., WatchedShop], web: Receiver) -> None:
    shop = shop_for(alert_urls=web.url())
    assert str(shop.look()) == "nothing new"
    shop.run(tags=range_tags("2024-01-02", "2024-01-05"))
    shop.report(FEW_REJECTS, False, "60 of 900 rows are rejected (6.7%); expected at most 5%")
    shop.look()
    assert sent(web) == [
        ("new", "error", "daily 2024-01-02 to 2024-01-05 failed"),
        ("new", "warning", "Rejected share"),
    ]
    assert str(shop.look()) == "nothing new"
    shop.report(GATE, False, "2024-01-01: worse than recency alone")
    shop.report(DRIFT, False, "recency moves scores by 3 points")
    shop.look()
    assert sent(web) == [("new", "warning", "Lost gate"), ("new", "warning", "Drift")]
    shop.report(DRIFT, False, "recency moves scores by 9 points", dg.AssetCheckSeverity.ERROR)
    shop.look()
    assert sent(web) == [("worse", "error", "Drift")]
    shop.report(REJECTED_SHARE, False, "none of 50 rows is accepted", dg.AssetCheckSeverity.ERROR)
    shop.run(fails=False)
    shop.look()
    assert sent(web) == [
        ("new", "error", "Rejected share"),
        ("solved", "error", "daily 2024-01-02 to 2024-01-05 failed"),
    ]
    for key in (DRIFT, GATE, FEW_REJECTS, REJECTED_SHARE):
        shop.report(key, True)
    shop.look()
    assert {news for news, _, _ in sent(web)} == {"solved"}
    assert shop.look(hours=100).sent == {}


def test_reminders_come_together_and_at_their_interval(
    shop_for: Callable[..., WatchedShop], web: Receiver
) -> None:
    shop = shop_for(alert_urls=web.url(), alert_remind_hours=12)
    shop.run()
    shop.look()
    shop.report(DRIFT, False)
    shop.look(hours=6)
    assert [news for news, _, _ in sent(web)] == ["new", "new"]
    shop.look(hours=5)
    assert not web.taken
    shop.look(hours=2)
    assert [news for news, _, _ in sent(web)] == ["still", "still"]
    assert not shop.look(hours=11).sent
    shop = shop_for(alert_urls=web.url(), alert_remind_hours=0)
    assert not shop.look(hours=1_000).sent


def test_only_errors_where_only_errors_are_wanted(
    shop_for: Callable[..., WatchedShop], web: Receiver
) -> None:
    shop = shop_for(alert_urls=web.url(), alert_level="error")
    shop.report(FEW_REJECTS, False)
    assert not shop.look().sent
    shop.report(DRIFT, False, severity=dg.AssetCheckSeverity.ERROR)
    shop.look()
    assert sent(web) == [("new", "error", "Drift")]


def test_a_failure_that_another_result_covers_before_the_tick_is_told_once(
    shop_for: Callable[..., WatchedShop], web: Receiver
) -> None:
    shop = shop_for(alert_urls=web.url())
    shop.report(FEW_REJECTS, False, "of an older time: unknown to alerts")
    shop.report(FEW_REJECTS, True)
    shop.look()
    assert not web.taken
    shop.report(FEW_REJECTS, False, "12 of 90 rows")
    shop.report(FEW_REJECTS, True)
    shop.run()
    shop.run(fails=False)
    shop.clock += timedelta(minutes=1)
    shop.look()
    assert sorted(sent(web)) == [("brief", "error", "daily failed"), ("brief", "warning", "Rejected share")]
    for _ in range(3):
        assert not shop.look().sent


def test_a_killed_process_is_told_once(shop_for: Callable[..., WatchedShop], web: Receiver) -> None:
    shop = shop_for(alert_urls=web.url())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    shop.instance.create_run_for_job(
        job(DAILY), tags={"clm/pid": str(ended.pid)}, status=dg.DagsterRunStatus.STARTED
    )
    shop.look()
    assert len(close_dead_runs(shop.instance)) == 1
    assert not shop.look().sent
    assert sent(web) == [("new", "error", "daily was killed")]


def test_a_run_of_selected_assets_is_solved_by_materializing_them(
    shop_for: Callable[..., WatchedShop], web: Receiver
) -> None:
    shop = shop_for(alert_urls=web.url())
    key, other = DRIFT.asset_key, dg.AssetKey("other")
    for selected in (key, other):
        run = dg.DagsterRun(
            job_name="__ASSET_JOB", asset_selection=frozenset([selected]), status=dg.DagsterRunStatus.STARTED
        )
        shop.instance.add_run(run)
        shop.instance.report_run_failed(run, "the UI stopped it")
    shop.look()
    assert sent(web) == [("new", "error", "A run of marts.feature_drift failed")]
    shop.run("__ASSET_JOB", fails=False, tags={"clm/shop": "another"})
    shop.instance.report_runless_asset_event(dg.AssetMaterialization(key))
    shop.look()
    assert [news for news, _, _ in sent(web)] == ["solved"]


def test_two_processes_do_not_tell_the_same(shop_for: Callable[..., WatchedShop], web: Receiver) -> None:
    shop = shop_for(alert_urls=web.url())
    shop.run()
    shop.settings.data_dir.mkdir()
    with FileLock(shop.settings.data_dir / "alerts.json.lock"):
        assert str(shop.look()) == "another process is sending alerts"
    assert shop.look().sent


def test_a_damaged_memory_is_put_aside(shop_for: Callable[..., WatchedShop], web: Receiver) -> None:
    shop = shop_for(alert_urls=web.url())
    shop.run()
    shop.look()
    path = shop.settings.data_dir / "alerts.json"
    path.write_text(path.read_text()[:40])
    shop.look()
    assert [news for news, _, _ in sent(web)] == ["new", "new"]
    assert path.with_suffix(".damaged").exists() and not shop.look().sent


def test_a_planned_check_does_not_solve_anything(shop_for: Callable[..., WatchedShop], web: Receiver) -> None:
    shop = shop_for(alert_urls=web.url())
    shop.report(DRIFT, False)
    shop.look()
    assert len(sent(web)) == 1
    run = shop.instance.create_run_for_job(
        build_definitions(shop.settings).resolve_job_def("scores"), status=dg.DagsterRunStatus.STARTED
    )
    event = dg.DagsterEvent(
        "ASSET_CHECK_EVALUATION_PLANNED",
        "scores",
        event_specific_data=AssetCheckEvaluationPlanned(asset_key=DRIFT.asset_key, check_name=DRIFT.name),
    )
    shop.instance.report_dagster_event(event, run.run_id)
    assert not shop.look().sent


def test_a_channel_that_is_down_hears_everything_later_and_the_others_nothing_twice(
    shop_for: Callable[..., WatchedShop], web: Receiver, mail: Mailbox
) -> None:
    shop = shop_for(
        alert_urls=web.url(),
        smtp_url=f"smtp://127.0.0.1:{mail.port}",
        alert_to="ann@shop.example, bob@shop.example",
    )
    mail.refuse = {"RCPT": "451 try later"}
    shop.run()
    outcome = shop.look()
    assert len(outcome.failed) == 2 and "answered 451 try later" in str(outcome)
    shop.run(fails=False)
    shop.look()
    assert [news for news, _, _ in sent(web)] == ["new", "solved"]
    assert not mail.taken
    mail.refuse = {}
    shop = shop_for(
        alert_urls=web.url(),
        smtp_url=f"smtp://127.0.0.1:{mail.port}",
        alert_to="ann@shop.example, bob@shop.example",
    )  # another process
    shop.look(hours=1)
    assert [receiver for receiver, _ in mail.taken] == ["ann@shop.example", "bob@shop.example"]
    assert "daily failed, over by now" in mail.taken[0][1]
    assert not shop.look(hours=1).sent and not web.taken


def test_a_channel_that_fails_again_and_again_is_tried_rarely(
    shop_for: Callable[..., WatchedShop], web: Receiver
) -> None:
    shop = shop_for(webhook_url=web.url("/services/T0KEN"))
    web.status = 403
    shop.run()
    for _ in range(3):
        outcome = shop.look()
        assert "answered 403 (Forbidden); check the address" in str(outcome) and "T0KEN" not in str(outcome)
    assert "failed 3 times, tried again from" in str(shop.look()) and web.attempts == 3
    web.status = 200
    assert shop.look(minutes=10).sent


@pytest.mark.parametrize("seed", range(4))
def test_random_outages_lose_and_repeat_nothing(
    seed: int, shop_for: Callable[..., WatchedShop], web: Receiver, instance: dg.DagsterInstance
) -> None:
    draw = random.Random(seed)
    with web_server() as chat:
        shop = shop_for(alert_urls=web.url(), webhook_url=chat.url(), alert_remind_hours=0)
        shop.look()
        state: dict[Any, bool] = dict.fromkeys((FEW_REJECTS, GATE, DRIFT, DAILY), True)
        began = 0
        for _ in range(25):
            for what in state:
                if draw.random() < 0.4:
                    continue
                is_good = draw.random() < 0.5
                began += state[what] and not is_good
                state[what] = is_good
                if what == DAILY:
                    shop.run(fails=not is_good)
                else:
                    shop.report(what, is_good)
            for receiver in (web, chat):
                receiver.status = draw.choice([204, 204, 500, 429, 302])
            shop.look(minutes=draw.choice([1, 5, 30]))
        web.status = chat.status = 204
        for what in state:
            if what == DAILY:
                shop.run(fails=False)
            else:
                shop.report(what, True)
        shop.look(hours=1)
        shop.look(hours=1)
        news: dict[str, list[str]] = {}
        for body in web.taken:
            for alert in body["alerts"]:
                news.setdefault(alert["id"], []).append(alert["news"])
        assert len(news) == began
        assert all(heard in (["new", "solved"], ["brief"]) for heard in news.values())
        text = "\n".join(body["text"] for body in chat.taken)
        assert text.count("SOLVED: ") + text.count(", over by now: ") + text.count("solved") >= began > 10
        assert not shop.look(hours=1).sent


# --------------------------------------------------------------------------------- the sensor


def tick(settings: Settings, instance: dg.DagsterInstance) -> Any:
    definitions = build_definitions(settings)
    context = dg.build_sensor_context(instance=instance, definitions=definitions, sensor_name="alerts")
    return definitions.resolve_sensor_def("alerts").evaluate_tick(context)


def test_a_failed_run_is_posted_as_it_was_before_there_were_alerts(
    shop_for: Callable[..., WatchedShop], web: Receiver, instance: dg.DagsterInstance
) -> None:
    shop = shop_for(webhook_url=web.url())
    run = shop.run(tags=range_tags("2024-01-02", "2024-01-05"))
    assert "sent 1 to webhook at 127.0.0.1" in tick(shop.settings, instance).skip_message
    (body,) = web.taken
    assert set(body) == {"text", "job", "run_id", "partition", "error"}
    assert (body["job"], body["run_id"], body["partition"]) == (DAILY, run.run_id, "2024-01-02")
    assert "the file has no column event_id" in body["error"]
    assert web.headers[0]["Content-Type"].startswith("application/json")
    assert f"http://127.0.0.1:3000/runs/{run.run_id}" in body["text"]
    assert tick(shop.settings, instance).skip_message == "nothing new"


def test_without_a_channel_the_tick_is_skipped_with_a_reason(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert "CLM_WEBHOOK_URL" in tick(settings, instance).skip_message


def test_an_unreachable_channel_fails_the_tick(
    shop_for: Callable[..., WatchedShop], instance: dg.DagsterInstance
) -> None:
    shop = shop_for(webhook_url="http://127.0.0.1:9/T0KEN")
    shop.run()
    with pytest.raises(AlertsError, match=r"webhook at 127.0.0.1: .*refused") as error:
        build_definitions(shop.settings).resolve_sensor_def("alerts")(
            dg.build_sensor_context(instance=instance)
        )
    assert "T0KEN" not in str(error.value)


def test_shops_of_one_deployment_tell_their_own_problems(
    shop_for: Callable[..., WatchedShop], web: Receiver, tmp_path: Any
) -> None:
    north = shop_for(alert_urls=web.url(), asset_prefix="north", data_dir=tmp_path / "north")
    south = shop_for(alert_urls=web.url(), asset_prefix="south", data_dir=tmp_path / "south")
    plain = shop_for(alert_urls=web.url(), data_dir=tmp_path / "plain")
    north.run("north_daily", tags={"clm/shop": "north"})
    key = dg.AssetCheckKey(DRIFT.asset_key.with_prefix("south"), DRIFT.name)
    south.report(key, False)
    for shop in (north, south, plain):
        shop.look()
    assert [(b["shop"], [a["title"].split(":")[0] for a in b["alerts"]]) for b in web.taken] == [
        ("north", ["north_daily failed"]),
        ("south", ["Drift"]),
    ]
