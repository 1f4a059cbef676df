"""What `clm vacuum` frees, what it keeps, and that nothing has to run afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.platform.domain import Shop
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings
from clm_dagster.shop_run import plan_shop, run_shop
from clm_dagster.shop_status import read_status
from clm_dagster.upkeep.freed import Freed
from clm_dagster.upkeep.guarding import UpkeepError
from clm_dagster.upkeep.snapshots import scratch_of, thinned_columns
from clm_dagster.upkeep.vacuum import vacuum
from clm_dagster_tests.shops import quiet, run_at, small_shop_events, write_shop
from clm_dagster_tests.trained_shop import Ran, at_home
from clm_dagster_tests.two_weeks import copy_shop
from clm_dagster_tests.upkeep.shop_tables import differing_tables

LATER = datetime.now(UTC) + timedelta(days=400)


@pytest.fixture(scope="module")
def up_to_date(two_weeks: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = copy_shop(two_weeks, tmp_path_factory.mktemp("shop"))
    run_at(settings.dagster_home, settings)
    return settings


@pytest.fixture
def shop(up_to_date: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A copy of a small shop to change."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "data" / "dagster"))
    settings = copy_shop(up_to_date, tmp_path)
    run_shop(settings, quiet)
    return settings


def contents(settings: Settings) -> dict[Path, bytes]:
    """The files of the data folder but those of Dagster, which notes that it was opened, and of locks."""
    files = (path for path in settings.data_dir.rglob("*") if path.is_file() and path.suffix != ".holder")
    return {path: path.read_bytes() for path in files if settings.dagster_home not in path.parents}


def of(freed: list[Freed], kind: str) -> Freed:
    (found,) = [each for each in freed if kind in each.kind]
    return found


def test_a_dry_run_changes_nothing_and_says_what_a_vacuum_frees(shop: Settings) -> None:
    left = shop.landing_dir / "events" / "000009-0000"
    (left / "_event_date=2024-01-01").mkdir(parents=True)
    (left / "_event_date=2024-01-01" / "data_0.parquet").write_bytes(b"x" * 1000)
    old = shop.data_dir / ".last_run.json.abc.tmp"
    page = (
        shop.data_dir / "reports" / "2024-01-08" / ".index.html.abc.tmp"
    )  # of a `clm report` that was killed
    page.parent.mkdir(parents=True)
    for path in (old, page):
        path.write_text("{")
        os.utime(path, (0, 0))
    (shop.data_dir / ".young.tmp").write_text("{")
    before = {
        path: path.read_bytes()
        for path in shop.data_dir.rglob("*")
        if path.is_file() and path.suffix != ".holder"
    }
    dry = vacuum(shop, dry_run=True)
    after = {
        path: path.read_bytes()
        for path in shop.data_dir.rglob("*")
        if path.is_file() and path.suffix != ".holder"
    }
    assert {path for path in after if "dagster" not in path.parts} == {
        p for p in before if "dagster" not in p.parts
    }
    assert after[shop.warehouse_path] == before[shop.warehouse_path]
    assert (of(dry, "landed").number, of(dry, "landed").size) == (1, 1000)
    assert "nothing else has all their rows" in of(dry, "landed").kept
    assert of(dry, "temporary").number == 2
    assert [f.number for f in vacuum(shop)] == [f.number for f in dry]
    assert (
        not left.exists()
        and not old.exists()
        and not page.exists()
        and (shop.data_dir / ".young.tmp").exists()
    )
    assert sum(f.number for f in vacuum(shop)) == 0
    assert run_shop(shop, quiet).is_up_to_date


def test_a_warehouse_with_much_free_space_is_written_anew(shop: Settings, up_to_date: Settings) -> None:
    with warehouse_of(shop).connect("a test") as connection:
        # Free blocks at the end of the file DuckDB gives back itself.
        connection.execute(
            "create table raw.big as select hash(i) as h, hash(i + 1) as g from range(2000000) as t(i)"
        )
        connection.execute("checkpoint")
        connection.execute("create table raw.last as select hash(i) as h from range(500000) as t(i)")
        connection.execute("checkpoint")
        connection.execute("drop table raw.big")
    size = shop.warehouse_path.stat().st_size
    run_shop(shop, quiet)
    assert of(vacuum(shop, dry_run=True), "free blocks").size > size / 2
    scratch_of(shop.warehouse_path).write_bytes(b"of a killed vacuum")
    freed = of(vacuum(shop), "free blocks")
    assert freed.size > size / 2
    assert shop.warehouse_path.stat().st_size == size - freed.size
    assert not scratch_of(shop.warehouse_path).exists()
    assert run_shop(shop, quiet).is_up_to_date  # published again, too
    with warehouse_of(shop).connect("a test") as connection:
        assert connection.scalar("select count(*) from raw.last") == 500_000
        connection.execute("drop table raw.last")
    assert differing_tables(shop.warehouse_path, up_to_date.warehouse_path) == []


def test_old_runs_are_deleted_but_not_the_newest_of_a_job_or_asset(shop: Settings) -> None:
    from clm_dagster.upkeep.run_history import free_runs

    with open_instance(shop) as instance:
        before = {run.run_id for run in instance.get_runs()}
        shards = {path.stem for path in shop.dagster_home.glob("history/runs/*.db")}
    assert free_runs(shop, dry_run=False, now=LATER).number == 0  # the setting is 0
    kept = shop.replace(keep_runs=30)
    assert free_runs(kept, dry_run=False).number == 0
    dry = free_runs(kept, dry_run=True, now=LATER)
    freed = free_runs(kept, dry_run=False, now=LATER)
    assert freed == dry and freed.number > 0 and freed.size > 0
    with open_instance(shop) as instance:
        after = {run.run_id for run in instance.get_runs()}
        assert len(before - after) == freed.number
        assert not {path.stem for path in shop.dagster_home.glob("history/runs/*.db")} & (before - after)
        assert shards - after
        for record in instance.event_log_storage.get_asset_records():
            assert record.asset_entry.last_materialization is not None
            assert record.asset_entry.last_run_id in after
    assert run_shop(shop, quiet).is_up_to_date
    assert read_status(shop).runs


def test_a_vacuum_is_refused_while_a_run_goes_on(shop: Settings) -> None:
    with open_instance(shop) as instance:
        run = instance.add_run(dg.DagsterRun("daily", status=dg.DagsterRunStatus.STARTED))
    result = CliRunner().invoke(
        cli,
        ["vacuum"],
        env={"CLM_DATA_DIR": str(shop.data_dir), "CLM_SOURCE": "generic", "CLM_INPUT": shop.input},
    )
    assert isinstance(result.exception, UpkeepError) and run.run_id in str(result.exception)


@pytest.fixture(scope="module")
def long_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A shop of a year without models."""
    root = tmp_path_factory.mktemp("long")
    events = small_shop_events(customers=20, orders=150, days=364)
    settings = write_shop(root, events, end_date="2024-12-30").replace(
        churn_horizon_days=14, value_horizon_days=14, recommend_horizon_days=14, contest_snapshots=2,
        graded_horizons=0, score_count=1,
    )  # fmt: skip
    run_at(settings.dagster_home, settings)
    yield settings


@pytest.mark.slow
def test_thinned_snapshots_are_deleted_and_not_built_again(
    long_shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weekly = copy_shop(long_shop, tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(weekly.dagster_home))
    run_shop(weekly, quiet)
    settings = weekly.replace(keep_snapshots="30")
    thinned = plan_shop(settings).plan.thinned
    assert 15 < len(thinned) < 45
    assert plan_shop(settings).plan.steps == () and read_status(settings).state == "ok"
    dry = vacuum(settings, dry_run=True)
    # Killed in the transaction: all or nothing.
    program = (
        "import os, signal; from clm_dagster.platform.warehouse import statement_listeners as heard; "
        "from clm_dagster.settings import load_settings; from clm_dagster.upkeep.vacuum import vacuum; "
        "heard.append(lambda sql, s: os.kill(os.getpid(), signal.SIGKILL) if sql.startswith('delete from marts') "
        "or sql.startswith('delete from core.stage') else None); "
        f"vacuum(load_settings(source='generic', data_dir='{settings.data_dir}', input='{settings.input}', "
        f"sql_dir='{settings.sql_dir}', start_date='2024-01-01', end_date='2024-12-30', churn_horizon_days=14, "
        "value_horizon_days=14, recommend_horizon_days=14, contest_snapshots=2, graded_horizons=0, score_count=1, "
        "keep_snapshots='30'))"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert differing_tables(settings.warehouse_path, long_shop.warehouse_path) == []
    freed = of(vacuum(settings), "thinned")
    assert freed.number == of(dry, "thinned").number > 0
    assert plan_shop(settings).plan.thinned == () and plan_shop(settings).plan.steps == ()
    assert run_shop(settings, quiet).is_up_to_date
    gone = {as_of_of_key(key, settings.end_date) for key in thinned}
    with duckdb.connect(settings.warehouse_path, read_only=True) as connection:
        connection.execute(f"attach '{long_shop.warehouse_path}' as weekly (read_only)")
        for relation in ("core.customer_features", "core.rfm_scores", "core.stage_states"):
            stored = {
                as_of for (as_of,) in connection.execute(f"select distinct as_of from {relation}").fetchall()
            }
            assert stored and not stored & gone
            # What is kept is as it was.
            query = f"select * from {relation} except select * from weekly.{relation}"
            assert connection.execute(query).fetchall() == []
        for relation in ("marts.rfm_segments", "marts.lifecycle_stages"):
            pairs = connection.execute(
                f"select distinct as_of, previous_as_of from {relation} order by as_of"
            ).fetchall()
            assert [previous for _, previous in pairs[1:]] == [as_of for as_of, _ in pairs[:-1]]
            assert max(as_of - previous for as_of, previous in pairs[1:]) >= timedelta(days=28)
        assert connection.execute(
            "select count(*) from marts.rfm_segments as now join marts.rfm_segments as before "
            "on now.previous_as_of = before.as_of and now.customer_id = before.customer_id "
            "where now.previous_segment is distinct from before.segment"
        ).fetchall() == [(0,)]
    # Other code: only what is kept is built again.
    path = settings.sql_dir / "models" / "core" / "rfm_cutoffs.sql"
    path.write_text(path.read_text() + "\n-- changed\n")
    assert plan_shop(settings).plan.of("snapshots")
    run_shop(settings, quiet)
    assert plan_shop(settings).plan.thinned == () and plan_shop(settings).plan.steps == ()


@pytest.mark.slow
def test_champions_and_named_trainings_stay_and_orphans_go(ran: Ran, tmp_path: Path) -> None:
    from clm_dagster.upkeep.models import free_mlflow_runs

    with at_home(ran.settings):
        copied = copy_shop(ran.settings, tmp_path).replace(sql_dir=ran.settings.sql_dir)
    with at_home(copied):
        tracking_of(copied).upkeep()
        client, experiment = tracking_of(copied).open()
        champion = tracking_of(copied).champion("models.churn_model")
        named = {run.info.run_id for run in client.search_runs([experiment])}
        settings = copied.replace(keep_mlflow_runs=30)
        assert free_mlflow_runs(settings, dry_run=False, now=LATER).number == 0
        # A training that was trained again: the row names another run now.
        with warehouse_of(copied).connect("a test") as connection:
            (old,) = connection.execute(
                "select mlflow_run_id, model_version from models.churn_model "
                "where model_version is not null order by as_of limit 1"
            )
            connection.execute("update models.churn_model set mlflow_run_id = 'other', model_version = '99' "
                               "where mlflow_run_id = ?", [old[0]])  # fmt: skip
            # No stored score of its model is left.
            scores = connection.execute(
                "select distinct c.table_name from information_schema.columns as c join information_schema.tables as t "
                "using (table_schema, table_name) where table_schema = 'marts' and table_type = 'BASE TABLE' "
                "and c.column_name = 'model_version'"
            )
            for (table,) in scores:
                connection.execute(f"delete from marts.{table} where model_version = ?", [old[1]])
        is_champion = old[1] == champion
        artifacts = Path(client.get_run(old[0]).info.artifact_uri.removeprefix("file://"))
        assert free_mlflow_runs(settings, dry_run=False).number == 0  # too young
        dry = free_mlflow_runs(settings, dry_run=True, now=LATER)
        freed = free_mlflow_runs(settings, dry_run=False, now=LATER)
        assert freed == dry and (freed.number == 0) == is_champion
        if not is_champion:
            assert freed.size > 0 and not artifacts.exists()
            left = {run.info.run_id for run in client.search_runs([experiment])}
            assert old[0] in named - left and len(named - left) == freed.number
        assert tracking_of(copied).champion("models.churn_model") == champion
        assert free_mlflow_runs(settings, dry_run=True, now=LATER).number == 0


def test_trainings_and_plans_of_actions_are_never_thinned(settings: Settings) -> None:
    """A training says what served when, and an experiment starts with the first plan of a customer."""
    thinned = thinned_columns(Shop.open(settings))
    assert {"core.rfm_scores", "marts.churn_scores", "marts.custom_segments"} <= set(thinned)
    assert not {"models.churn_model", "marts.next_best_actions"} & set(thinned)
