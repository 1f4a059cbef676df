"""`clm status` tells what is fresh, due and failing, for people and for monitoring, and changes nothing."""

import json
import os
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from rich.console import Console

from clm_dagster.cli import cli
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings
from clm_dagster.shop_run import run_shop
from clm_dagster.shop_status import Status, read_status
from clm_dagster.status_view import as_dict, render
from clm_dagster_tests.shops import quiet, small_shop_events, write_shop
from clm_dagster_tests.two_weeks import copy_shop, edit


def lines(status: Status, width: int = 200) -> dict[str, str]:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(render(status))
    found = [line.rstrip() for line in captured.get().splitlines()]
    assert len(found) <= 10
    return {line[:13].strip(): line[13:].strip() for line in found}


@pytest.fixture
def shop(two_weeks: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    copied = copy_shop(two_weeks, tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(copied.dagster_home))
    return copied


def command(shop: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    for name in ("source", "input", "data_dir", "sql_dir", "start_date", "end_date"):
        monkeypatch.setenv(f"CLM_{name.upper()}", str(getattr(shop, name)))
    return CliRunner().invoke(cli, list(arguments))


def test_a_folder_without_runs_is_due_and_stays_as_it_is(tmp_path: Path) -> None:
    settings = write_shop(tmp_path, small_shop_events(orders=10, days=3), end_date="2024-01-08")
    status = read_status(settings)
    found = lines(status)
    assert (status.state, status.exit_code) == ("due", 1)
    assert found["data"] == "nothing is loaded yet" and found["due"] == "1 new file"
    assert found["last runs"] == "none yet"
    assert not settings.data_dir.exists()


def test_after_a_run_everything_is_fresh(shop: Settings) -> None:
    status = read_status(shop)
    assert (status.state, status.exit_code) == ("ok", 0)
    found = lines(status)
    assert found["status"] == "ok: everything is up to date"
    assert found["data"].startswith(
        "days to 2024-01-14; snapshots to 2024-01-08 (as_of 2024-01-15); published 20"
    )
    assert found["fresh"] == f"{status.tables} of {status.tables} tables, views and seeds"
    assert {run.job for run in status.runs} >= {"land", "daily", "snapshots"}
    assert all(run.seconds is not None and run.seconds > 0 for run in status.runs)


def test_changed_code_is_due_in_the_command_and_its_exit_status(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(shop, "models/core/customer_features.sql", "states.orders_30 as", "states.orders_90 as")
    shown = command(shop, monkeypatch, "status")
    assert shown.exit_code == 1 and "core.customer_features" in shown.output
    found = json.loads(command(shop, monkeypatch, "status", "--json").output)
    assert found["status"] == "due" and "core.customer_features" in found["stale"]
    assert [run["job"] for run in found["due"]["runs"]] == ["snapshots"]
    assert (found["last_day"], found["last_snapshot"], found["last_as_of"]) == (
        "2024-01-14",
        "2024-01-08",
        "2024-01-15",
    )


@pytest.mark.slow
def test_a_failed_run_is_failing_until_the_job_runs_again(shop: Settings) -> None:
    with open_instance(shop) as instance:
        failed = instance.create_run_for_job(job(), status=dg.DagsterRunStatus.FAILURE)
    status = read_status(shop)
    assert (status.state, status.exit_code) == ("failing", 2)
    assert lines(status)["failed runs"] == f"daily (failed, {failed.run_id})"
    edit(shop, "models/marts/shop_daily.sql", "as orders,", "as orders, 1 as more,")
    run_shop(shop, quiet)
    assert read_status(shop).state == "ok"


def test_a_run_whose_process_was_killed_is_failing(shop: Settings) -> None:
    tags = {"clm/pid": str(ended_process())}
    with open_instance(shop) as instance:
        killed = instance.create_run_for_job(job(), tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert lines(read_status(shop))["failed runs"] == f"daily (its process was killed, {killed.run_id})"


def test_a_failed_check_is_failing_and_a_warning_is_not(shop: Settings) -> None:
    key = dg.AssetKey(["core", "customer_daily"])
    assert not read_status(shop).failed_checks
    name = names_of_checks(shop, key)[0]
    with open_instance(shop) as instance:
        for severity, state, title in (
            (dg.AssetCheckSeverity.WARN, "ok", "warnings"),
            (dg.AssetCheckSeverity.ERROR, "failing", "failed checks"),
        ):
            failed = dg.AssetCheckEvaluation(asset_key=key, check_name=name, passed=False, severity=severity)
            instance.report_runless_asset_event(failed)
            status = read_status(shop)
            assert status.state == state
            assert f"{name} of core.customer_daily" in lines(status)[title]
            assert json.loads(json.dumps(as_dict(status)))["failed_checks"] == [
                {"asset": "core.customer_daily", "check": name, "severity": severity.value}
            ]
        run = instance.create_run_for_job(job(), status=dg.DagsterRunStatus.CANCELED)
        planned = AssetCheckEvaluationPlanned(asset_key=key, check_name=name)
        event = dg.DagsterEvent("ASSET_CHECK_EVALUATION_PLANNED", "daily", event_specific_data=planned)
        instance.report_dagster_event(event, run.run_id)
        # A run that planned the check again, and broke off, has no result.
        assert [check.check for check in read_status(shop).failed_checks] == [name]


def test_summary_and_settings_print_json(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = json.loads(command(shop, monkeypatch, "summary", "--json").output)
    assert summary["as_of"] == "2024-01-15" and summary["ledger"]["events"]["rejected"] == 0
    assert sum(segment["customers"] for segment in summary["segments"]) == summary["customers"]
    settings = json.loads(command(shop, monkeypatch, "settings", "--json").output)
    assert settings["CLM_SOURCE"]["value"] == "generic"
    assert settings["CLM_SOURCE"].keys() == {"value", "from", "description"}


def job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job(name="daily")
    def daily() -> None:
        nothing()

    return daily


def ended_process() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def names_of_checks(settings: Settings, key: dg.AssetKey) -> list[str]:
    from clm_dagster.definitions import build_definitions

    graph = build_definitions(settings).resolve_asset_graph()
    return sorted(check.name for check in graph.asset_check_keys if check.asset_key == key)
