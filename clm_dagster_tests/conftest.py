"""Fixtures for every test: settings, an open warehouse, the reference data, a small shop, a shop that has run."""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import hypothesis
import pandas as pd
import pytest

import clm_dagster.domains
from clm_dagster.definitions import build_definitions
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.platform.warehouse import Connection, Warehouse
from clm_dagster.settings import Settings, load_settings
from clm_dagster_tests.shops import reference_folder, small_shop_events
from clm_dagster_tests.two_weeks import run_two_weeks

# Fixtures that tests of several folders use.
pytest_plugins = ["clm_dagster_tests.simulate.fixtures", "clm_dagster_tests.sql.fixtures"]

if TYPE_CHECKING:
    from clm_dagster_tests.trained_shop import Ran

# A test decides its own settings: nothing of the developer's environment or last run comes in.
KEPT = ("CLM_REFERENCE_DATA", "CLM_DBT")  # where to find what tests need
for name in [name for name in os.environ if name.startswith("CLM_") and name not in KEPT]:
    del os.environ[name]
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "true"
# A whole run trains no model unless a test asks for it: MLflow alone takes ten seconds to begin.
os.environ["CLM_TRAIN_COUNT"] = "0"
# In this process, where tests replace parts; a test of several processes asks for them.
os.environ["CLM_PROCESSES"] = "1"

# No test asserts a time: a busy machine, or a first call that imports, would fail an example.
hypothesis.settings.register_profile(
    "project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("project")

# A process of the tests holds many imported modules and definitions, which the collector would look through again
# and again: a quarter of the processor time of building definitions.
gc.set_threshold(50_000, 20, 50)


# Shops of a session, which take many seconds to run: the files that use one run in the same process.
SHARED_SHOPS = ("ran", "two_weeks", "built_shop")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group tests for `--dist loadgroup`: those of a file stay together, and those of a shared shop."""
    is_fast = "not slow" in config.option.markexpr  # slow tests are not deselected yet
    chosen = [item for item in items if not (is_fast and item.get_closest_marker("slow"))]
    groups: dict[Path, str] = {}
    for shop in reversed(SHARED_SHOPS):
        users = (item for item in chosen if isinstance(item, pytest.Function))
        groups |= {item.path: shop for item in users if shop in item.fixturenames}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups.get(item.path, str(item.path))))


@pytest.fixture(autouse=True, scope="module")
def restored_home() -> Iterator[None]:
    """Restore DAGSTER_HOME after each file: whoever opens an instance sets it for the whole process."""
    before = os.environ.get("DAGSTER_HOME")
    yield
    os.environ.pop("DAGSTER_HOME", None)
    if before is not None:
        os.environ["DAGSTER_HOME"] = before


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Folder of the real data; the test is skipped where it is absent."""
    return reference_folder()


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """Make settings of a generic shop with its own data folder; keywords go before the defaults."""

    def make(**overrides: object) -> Settings:
        defaults: dict[str, object] = {
            "source": "generic",
            "input": str(tmp_path / "inbox"),
            "data_dir": tmp_path / "data",
            "start_date": "2024-01-01",
            "end_date": "2024-03-01",
        }
        return load_settings(**defaults | overrides)

    return make


@pytest.fixture
def settings(settings_for: Callable[..., Settings]) -> Settings:
    """Settings of a generic shop, 2024-01-01 to 2024-03-01 (exclusive)."""
    return settings_for()


@pytest.fixture
def project(settings: Settings) -> Project:
    """The real SQL project."""
    return load_sql(settings)


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    """The warehouse of `settings`, not made yet."""
    return warehouse_of(settings)


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    """An open warehouse."""
    with warehouse.connect("a test") as opened:
        yield opened


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that keeps nothing."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def definitions(settings: Settings) -> dg.Definitions:
    """The code location for `settings`."""
    return build_definitions(settings)


@pytest.fixture
def shop_events() -> pd.DataFrame:
    """The small shop's events."""
    return small_shop_events()


@pytest.fixture
def write_inbox(settings: Settings) -> Callable[..., Path]:
    """Write a frame of text into the inbox as CSV, Parquet or JSON lines, by the name's ending."""

    def write(frame: pd.DataFrame, name: str = "events.csv") -> Path:
        path = Path(settings.input) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            frame.to_parquet(path, index=False)
        elif ".jsonl" in name:
            frame.to_json(path, orient="records", lines=True)
        else:
            frame.to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def new_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Make the folder of a domain that the package finds for as long as the test lasts."""
    domains = tmp_path / "domains"
    monkeypatch.setattr(clm_dagster.domains, "__path__", [*clm_dagster.domains.__path__, str(domains)])
    before = set(sys.modules)

    def make(name: str) -> Path:
        folder = domains / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f'"""The domain {name}."""\n')
        importlib.invalidate_caches()
        return folder

    yield make
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", None) or "").startswith(str(domains)):
            del sys.modules[module]


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> "Ran":
    """A shop that has run as a whole, trainings and scores included; it takes a minute or two."""
    from clm_dagster_tests.trained_shop import run_trained_shop

    return run_trained_shop(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def two_weeks(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of an up-to-date shop with two weeks of data and no model, to read or to copy (`copy_shop`)."""
    return run_two_weeks(tmp_path_factory.mktemp("two_weeks"))
