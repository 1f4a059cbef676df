"""Trainings that SIGKILL ended at each point: registry and table agree after whatever runs next."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import clm_dagster.domains
from clm_dagster.platform.mlflow_store.registrations import StoredTraining
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.trained_models.champions import stored_trainings
from clm_dagster.platform.trained_models.lost import lost_trainings
from clm_dagster.settings import PROJECT_DIR, Settings
from clm_dagster_tests.platform.mlflow_store.killed_training import (
    AFTER_ALIAS,
    POINTS,
    add_domain,
    settings_in,
    train,
)
from clm_dagster_tests.test_toy_domain import DEFINITIONS, DOCS, MODEL, MODEL_DOCS, SETTINGS, TRAINING

pytestmark = pytest.mark.slow
NAME = "models.loyalty_model"
FIRST, SECOND = "2024-01-01", "2024-01-08"


def run_training(folder: Path, key: str, point: str) -> int:
    module = "clm_dagster_tests.platform.mlflow_store.killed_training"
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder), key, point],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with the toy domain and a champion, version 1."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copytree(PROJECT_DIR / "dbt_like_sql", folder / "sql")
    (folder / "sql/models/marts/loyalty_points.sql").write_text(MODEL)
    (folder / "sql/models/marts/loyalty_points.yml").write_text(DOCS)
    (folder / "sql/models/trained/loyalty_model.yml").write_text(MODEL_DOCS)
    domain = folder / "domains" / "loyalty"
    domain.mkdir(parents=True)
    contents = {"__init__": '"""Loyalty."""\n', "settings": SETTINGS, "definitions": DEFINITIONS}
    for name, text in (contents | {"training": TRAINING}).items():
        (domain / f"{name}.py").write_text(text)
    assert run_training(folder, FIRST, "none") == 0
    return folder


@pytest.fixture(scope="module", params=[*POINTS, AFTER_ALIAS])
def killed(request: pytest.FixtureRequest, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop after a second training was killed."""
    folder = tmp_path_factory.mktemp("killed") / "shop"
    shutil.copytree(shop, folder)
    assert run_training(folder, SECOND, request.param) == -signal.SIGKILL
    return folder


@pytest.fixture
def after(killed: Path, tmp_path: Path) -> Iterator[Settings]:
    """The killed shop in a folder of its own, with its domain known to this process."""
    folder = tmp_path / "shop"
    shutil.copytree(killed, folder)
    known = clm_dagster.domains.__path__
    add_domain(folder)
    yield settings_in(folder)
    clm_dagster.domains.__path__ = known
    for module in [name for name in sys.modules if name.startswith("clm_dagster.domains.loyalty")]:
        del sys.modules[module]


def rows(settings: Settings) -> list[StoredTraining]:
    with warehouse_of(settings).connect("a test") as connection:
        return stored_trainings(connection, NAME)


def train_again(settings: Settings) -> None:
    assert train(settings, SECOND).success


def only_score(settings: Settings) -> None:
    """Do what a table of scores does first."""
    tracking_of(settings).upkeep()
    tracking_of(settings).settle(NAME, rows(settings))


def agree(settings: Settings) -> tuple[Tracking, list[StoredTraining]]:
    """Assert that MLflow has the versions of the table, that nothing is unfinished, and that the newest serves."""
    tracking, stored = tracking_of(settings), rows(settings)
    client, experiment = tracking.open()
    assert client.search_runs([experiment], "attributes.status = 'RUNNING'") == []
    versions = client.search_model_versions(f"name = '{NAME}'")
    known = {(str(version.version), version.run_id) for version in versions}
    assert {(row.version, row.run_id) for row in stored} <= known
    # A version without a row had one, which a later training of the same snapshot has replaced.
    assert {version.tags["clm.row"] for version in versions} == {"stored"}
    assert tracking.champion(NAME) == stored[-1].version
    assert tracking.sklearn_model(NAME, stored[-1].version, [], stored[-1].run_id).coef_[0] > 1
    return tracking, stored


@pytest.mark.parametrize("next_run", [train_again, only_score])
def test_registry_and_table_agree_after_the_next_run(
    after: Settings, next_run: Callable[[Settings], None]
) -> None:
    next_run(after)
    tracking, stored = agree(after)
    assert stored[0].version == "1"  # the training before is kept
    only_score(after)
    assert agree(after)[1] == stored
    client, experiment = tracking.open()
    statuses = [run.info.status for run in client.search_runs([experiment])]
    assert set(statuses) <= {"FINISHED", "KILLED"}


def test_a_champion_that_a_person_chose_meanwhile_stays(after: Settings) -> None:
    tracking = tracking_of(after)
    client, _ = tracking.open()
    client.delete_registered_model_alias(NAME, "champion")
    only_score(after)
    assert tracking.champion(NAME) is None


def test_a_deleted_store_lacks_every_model_of_the_table(after: Settings) -> None:
    with warehouse_of(after).connect("a test") as connection:
        assert lost_trainings(connection, tracking_of(after), [NAME]) == {}
        (after.data_dir / "mlflow.db").unlink()
        lost = lost_trainings(connection, tracking_of(after), [NAME, "models.never_trained"])
        keys = [key_of_as_of(row.as_of) for row in stored_trainings(connection, NAME)]
    assert lost == {NAME: keys} and FIRST in keys
