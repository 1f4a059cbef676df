"""`clm plan` prints what would run and why, and changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from clm_dagster.cli import cli
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.plan_view import as_dict, render
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.shop_run import RunPreview, plan_shop, run_shop
from clm_dagster_tests.shops import quiet, small_shop_events
from clm_dagster_tests.two_weeks import copy_shop, edit


def printed(preview: RunPreview) -> str:
    console = Console(width=240)
    with console.capture() as captured:
        console.print(render(preview))
    return captured.get()


@pytest.fixture
def shop(two_weeks: Settings, tmp_path: Path) -> Settings:
    """A copy of that shop with its SQL, to change."""
    return copy_shop(two_weeks, tmp_path)


def test_the_plan_of_a_new_folder_lists_files_and_writes_nothing(
    settings: Settings, write_inbox: Callable[..., Path]
) -> None:
    with pytest.raises(InputError):
        plan_shop(settings)
    write_inbox(small_shop_events(orders=10, days=3))
    preview = plan_shop(settings)
    assert [path.name for path in preview.new_files] == ["events.csv"]
    assert preview.plan.steps == ()
    assert "land" in printed(preview) and "not landed yet: events.csv" in printed(preview)
    assert not settings.data_dir.exists()


def test_after_a_run_the_plan_is_empty(shop: Settings) -> None:
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in shop.data_dir.rglob("*.duckdb")}

    before = state()
    preview = plan_shop(shop)
    assert printed(preview).startswith("Nothing to do")
    assert as_dict(preview) == {"new_files": [], "runs": [], "waiting": None}
    assert state() == before


def test_changed_code_and_changed_inputs_are_different_reasons(shop: Settings) -> None:
    edit(shop, "models/core/customer_features.sql", "states.orders_30 as", "states.orders_90 as")
    (step,) = plan_shop(shop).plan.steps
    assert (step.job, step.first, step.last) == ("snapshots", "2024-01-01", "2024-01-08")
    assert step.reasons[0] == "core.customer_features: code changed"
    assert "core.rfm_scores" in step.assets
    assert any("inputs changed: core.customer_features" in reason for reason in step.reasons)


def test_a_plan_includes_the_consequences_of_its_first_runs(shop: Settings) -> None:
    with warehouse_of(shop).connect("a test") as connection:
        connection.execute(
            "delete from raw.builds where relation = 'landing.events' and partition_key = '2024-01-10'"
        )
    days, weeks = plan_shop(shop).plan.steps
    assert (days.job, days.first, days.last) == ("daily", "2024-01-10", "2024-01-10")
    assert days.reasons[0] == "raw.events: landed but not loaded yet"
    assert (weeks.job, weeks.first, weeks.last) == ("snapshots", "2024-01-08", "2024-01-08")
    assert any("inputs changed" in reason and "core.customer_daily" in reason for reason in weeks.reasons)


def test_a_run_executes_the_plan(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(shop.dagster_home))
    edit(shop, "models/core/rfm_scores.sql", "5 * (recency_rank", "4 * (recency_rank")
    edit(shop, "models/marts/shop_daily.sql", "as orders,", "as orders, 1 as more,")
    steps = plan_shop(shop).plan.steps
    assert [(step.job, step.first, step.last) for step in steps] == [
        ("daily", "2024-01-14", "2024-01-14"),
        ("snapshots", "2024-01-01", "2024-01-08"),
    ]
    assert steps[0].reasons == ("marts.shop_daily: file changed",)
    assert [run.job for run in run_shop(shop, quiet).runs] == ["land", "daily", "snapshots"]
    assert plan_shop(shop).plan.steps == ()


@pytest.mark.slow
def test_a_run_killed_before_its_views_exist_is_completed(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(shop.dagster_home))
    views = ("marts.lifecycle_stages", "marts.rfm_segments")
    with warehouse_of(shop).connect("a test") as connection:
        for view in views:
            connection.execute(f"drop view {view}")
            connection.execute("delete from raw.builds where relation = ?", [view])
    (step,) = plan_shop(shop).plan.steps
    assert (step.job, step.first, step.assets) == ("snapshots", "2024-01-08", views)
    assert [run.job for run in run_shop(shop, quiet).runs] == ["land", "snapshots"]
    with warehouse_of(shop).connect("a test") as connection:
        assert all(connection.relation_kind(view) == "VIEW" for view in views)


def test_a_late_file_is_landed_before_its_days_are_planned(shop: Settings) -> None:
    late = small_shop_events(customers=12, orders=40, days=14).query("event_type == 'purchase'").head(1)
    path = Path(shop.input) / "events_late.csv"
    late.assign(event_id="late", event_at="2024-01-10 10:00").to_csv(path, index=False)
    preview = plan_shop(shop)
    assert preview.new_files == (path,)
    assert "planned after the files are landed" in printed(preview)


def test_a_missing_published_copy_is_planned(shop: Settings) -> None:
    shop.published_path.unlink()
    (step,) = plan_shop(shop).plan.steps
    assert (step.job, step.first, step.reasons) == (
        "publish",
        "",
        ("the published copy is missing or outdated",),
    )


def test_the_command_prints_a_table_or_json(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(shop, "models/core/rfm_scores.sql", "5 * (recency_rank", "4 * (recency_rank")
    for name in ("source", "input", "data_dir", "sql_dir", "start_date", "end_date"):
        monkeypatch.setenv(f"CLM_{name.upper()}", str(getattr(shop, name)))
    result = CliRunner().invoke(cli, ["plan", "--json"], catch_exceptions=False)
    (run,) = json.loads(result.output)["runs"]
    assert (run["job"], run["first_partition"]) == ("snapshots", "2024-01-01")
    assert (run["first_as_of"], run["last_as_of"]) == ("2024-01-08", "2024-01-15")
    assert run["why"][0] == "core.rfm_scores: code changed"
    monkeypatch.setattr("clm_dagster.command_line.console.width", 240)
    result = CliRunner().invoke(cli, ["plan"], catch_exceptions=False)
    assert "2024-01-01 to 2024-01-08 (as_of 2024-01-08 to 2024-01-15)" in result.output
    assert "code changed" in result.output
