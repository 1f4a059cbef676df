"""Backups: complete, without secrets, checked, and restored to equal tables and models in another place."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
import sklearn.base
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.domains.churn.registered import REGISTERED as CHURN
from clm_dagster.domains.churn.registered import TRUSTED
from clm_dagster.platform.resources import tracking_of
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings
from clm_dagster.shop_run import run_shop
from clm_dagster.upkeep.backup import back_up
from clm_dagster.upkeep.guarding import UpkeepError
from clm_dagster.upkeep.restore import restore
from clm_dagster_tests.shops import quiet
from clm_dagster_tests.trained_shop import Ran, at_home
from clm_dagster_tests.two_weeks import copy_shop
from clm_dagster_tests.upkeep.shop_tables import differing_tables


@pytest.fixture(scope="module")
def up_to_date(two_weeks: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small shop without models, up to date, with Dagster's store in its data folder."""
    settings = copy_shop(two_weeks, tmp_path_factory.mktemp("shop"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(settings.dagster_home))
        with open_instance(settings):
            pass
    return settings


@pytest.fixture
def shop(up_to_date: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A copy of the shop to change."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "data" / "dagster"))
    return copy_shop(up_to_date, tmp_path)


@pytest.mark.parametrize("name", ["shop.tar.zst", pytest.param("folder", marks=pytest.mark.slow)])
def test_a_restored_shop_has_equal_tables_and_nothing_to_do(
    shop: Settings, tmp_path: Path, name: str
) -> None:
    adapters = tmp_path / "own"
    (adapters / "mine").mkdir(parents=True)
    (adapters / "mine" / "adapter.yml").write_text("name: mine\n")
    (adapters / ".env").write_text("SECRET=1\n")
    run_shop(shop, quiet)
    page, export = (
        shop.data_dir / "reports" / "2024-01-08" / "index.html",
        shop.data_dir / "exports" / "a.csv",
    )
    for path in (page, export):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("as it was known then")
    done = back_up(shop.replace(adapters_dir=adapters), tmp_path / "backups" / name)
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [name]
    assert run_shop(shop, quiet).is_up_to_date  # a backup changes nothing
    again = restore(done.path, tmp_path / "elsewhere" / "data")
    assert again.adapters is not None
    assert [path.name for path in again.adapters.rglob("*") if path.is_file()] == ["adapter.yml"]
    for kept in ("pseudonyms.key", "reports/latest.html"):
        assert (again.folder / kept).read_bytes() == (shop.data_dir / kept).read_bytes()
    settings = shop.replace(data_dir=again.folder)
    # Pages of earlier weeks are never written again; files of exports may hold addresses.
    assert (again.folder / "reports" / "2024-01-08" / "index.html").read_text() == "as it was known then"
    assert not (again.folder / "exports").exists()
    assert any("Files of exports" in one for one in done.manifest.left_out)
    assert differing_tables(shop.warehouse_path, settings.warehouse_path) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(settings.dagster_home))
        report = run_shop(settings, quiet)
        assert report.is_up_to_date
        with open_instance(settings) as instance:
            assert len(instance.get_runs()) >= 2
    assert differing_tables(shop.warehouse_path, settings.warehouse_path) == []


def test_the_commands_say_what_is_done_and_what_is_not_contained(shop: Settings, tmp_path: Path) -> None:
    (shop.dagster_home / "dagster.yaml").write_text(
        "storage:\n  postgres:\n    postgres_url: postgres://me:pw@db/x\n"
    )
    environment = {"CLM_DATA_DIR": str(shop.data_dir), "MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    environment |= {"CLM_SOURCE": "generic", "CLM_INPUT": shop.input}
    # The real Dagster cannot open such a storage here.
    (shop.dagster_home).rename(tmp_path / "kept")
    made = CliRunner().invoke(cli, ["backup", str(tmp_path)], env=environment)
    assert made.exit_code == 0, made.output
    (file,) = tmp_path.glob("clm-generic-*.tar.zst")
    assert "The MLflow store, which is not in the data folder" in made.output
    assert "Dagster's runs and events, which are not in the data folder" in made.output
    restored = CliRunner().invoke(cli, ["restore", str(file), str(tmp_path / "new")])
    assert restored.exit_code == 0, restored.output
    assert f"export CLM_DATA_DIR={tmp_path / 'new'}" in restored.output.replace("\n", "")


def test_a_file_of_settings_with_a_password_is_left_out(shop: Settings, tmp_path: Path) -> None:
    config = shop.dagster_home / "dagster.yaml"
    config.write_text(config.read_text() + "# smtp://me:secret@mail.example\n")
    done = back_up(shop, tmp_path / "folder")
    assert not (done.path / "data" / "dagster" / "dagster.yaml").exists()
    assert any("seems to contain a password" in each for each in done.manifest.left_out)
    assert (done.path / "data" / "dagster" / "history").is_dir()


def test_damaged_backups_are_refused_with_their_name(shop: Settings, tmp_path: Path) -> None:
    file = back_up(shop, tmp_path / "whole.tar.zst").path
    folder = back_up(shop, tmp_path / "folder").path
    content = file.read_bytes()
    for number, damaged in enumerate(
        (content[: len(content) // 2], content[:5000] + b"xxxx" + content[5004:], b"")
    ):
        bad = tmp_path / f"bad{number}.tar.zst"
        bad.write_bytes(damaged)
        with pytest.raises(UpkeepError, match=str(bad)):
            restore(bad, tmp_path / "new")
    (manifest,) = folder.glob("data/landing/*/manifests/*.json")
    manifest.write_text(manifest.read_text().replace("1", "2", 1))
    with pytest.raises(UpkeepError, match=f"{folder}: data/landing/.*{manifest.name} is damaged"):
        restore(folder, tmp_path / "new")
    manifest.unlink()
    with pytest.raises(UpkeepError, match=f"{manifest.name} is missing"):
        restore(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new*"))


def test_nothing_is_overwritten(shop: Settings, tmp_path: Path) -> None:
    file = back_up(shop, tmp_path / "whole.tar.zst").path
    with pytest.raises(UpkeepError, match="exists; a backup never replaces"):
        back_up(shop, file)
    with pytest.raises(UpkeepError, match="in the data folder"):
        back_up(shop, shop.data_dir / "backup")
    with pytest.raises(UpkeepError, match="not empty"):
        restore(file, shop.data_dir)
    with pytest.raises(UpkeepError, match="nothing to back up"):
        back_up(shop.replace(data_dir=tmp_path / "none"), tmp_path / "b.tar.zst")


def test_a_backup_is_refused_while_a_run_goes_on(shop: Settings, tmp_path: Path) -> None:
    with open_instance(shop) as instance:
        run = instance.add_run(dg.DagsterRun("daily", status=dg.DagsterRunStatus.STARTED))
        with pytest.raises(
            UpkeepError, match=f"run {run.run_id} of daily is started. Wait until it is finished"
        ):
            back_up(shop, tmp_path / "b.tar.zst")
        instance.report_run_failed(run)
    back_up(shop, tmp_path / "b.tar.zst")


def test_a_killed_backup_leaves_no_file_of_that_name(shop: Settings, tmp_path: Path) -> None:
    big = shop.landing_dir / "big.bin"
    big.write_bytes(np.random.default_rng(0).bytes(200_000_000))
    program = (
        "from pathlib import Path; from clm_dagster.settings import load_settings; "
        "from clm_dagster.upkeep.backup import back_up; "
        f"back_up(load_settings(source='generic', input='{shop.input}', data_dir='{shop.data_dir}'), "
        f"Path('{tmp_path / 'b.tar.zst'}'))"
    )
    child = subprocess.Popen([sys.executable, "-c", program], env=os.environ)
    for _ in range(1200):
        if any(path.stat().st_size for path in tmp_path.glob(".b.tar.zst.*/*")) or child.poll() is not None:
            break
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "b.tar.zst").exists()
    big.unlink()
    restore(back_up(shop, tmp_path / "b.tar.zst").path, tmp_path / "new")


@pytest.mark.slow
def test_restored_champions_load_and_predict_the_same(ran: Ran, tmp_path: Path) -> None:
    settings = ran.settings
    with at_home(settings):
        done = back_up(settings, tmp_path / "b.tar.zst")
    new = settings.replace(data_dir=restore(done.path, tmp_path / "new").folder)
    assert differing_tables(settings.warehouse_path, new.warehouse_path) == []
    with at_home(new):
        report = run_shop(new, quiet)
    assert report.is_up_to_date, report.runs
    for name in ("models.churn_model", "models.value_model", "models.recommender_model"):
        assert tracking_of(new).champion(name) == tracking_of(settings).champion(name)
    version = ran.query(
        "select model_version, mlflow_run_id from models.churn_model where model_version is not null"
    )
    for number, run_id in version.itertuples(index=False):
        models = [
            tracking_of(each).sklearn_model(CHURN.name, number, TRUSTED, run_id) for each in (settings, new)
        ]
        assert all(isinstance(model, sklearn.base.BaseEstimator) for model in models)
        frame = _example(settings, number)
        assert np.array_equal(*(model.predict(frame) for model in models))


def _example(settings: Settings, version: str) -> pd.DataFrame:
    """The input example that is stored beside a version of the churn model."""
    import mlflow

    tracking_of(settings).open()
    example = mlflow.pyfunc.load_model(f"models:/{CHURN.name}/{version}").input_example
    assert isinstance(example, pd.DataFrame) and len(example)
    return example
