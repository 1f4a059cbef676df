"""Several shops in one deployment, each a component in a folder of a project that is not ours."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest
import yaml
from dagster.components.core.component_tree import ComponentTreeException

from clm_dagster.component import FILE, ShopComponent, settings_of_folder
from clm_dagster.platform.job_names import RANGE_END, RANGE_START
from clm_dagster.platform.naming import SHOP_TAG
from clm_dagster.platform.resources import tracking_of
from clm_dagster.settings import PROJECT_DIR, SettingsError, origins
from clm_dagster_tests.shops import small_shop_events

_TOML = """\
[project]
name = "deployment"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "deployment"
registry_modules = ["clm_dagster"]
"""


def make_project(root: Path) -> Path:
    """Write a project as `create-dagster project` does, and return its folder of definitions."""
    defs = root / "src" / "deployment" / "defs"
    defs.mkdir(parents=True)
    (root / "pyproject.toml").write_text(_TOML)
    (defs / "__init__.py").touch()
    (defs.parent / "__init__.py").touch()
    (defs.parent / "definitions.py").write_text(
        "from pathlib import Path\n\nimport dagster as dg\n\n\n@dg.definitions\ndef defs():\n"
        "    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)\n"
    )
    return defs


def write_shop(defs: Path, name: str, **attributes: object) -> Path:
    """Write the file of a shop."""
    folder = defs / name
    folder.mkdir()
    content = {"type": "clm_dagster.ShopComponent", "attributes": {"source": "generic", **attributes}}
    (folder / FILE).write_text(yaml.safe_dump(content))
    return folder


def deliver(folder: Path, seed: int, customers: int, country: str) -> None:
    """Put two weeks of events into the inbox of a shop."""
    (folder / "inbox").mkdir(exist_ok=True)
    events = small_shop_events(seed, customers, orders=40, days=14).assign(country=country)
    events.to_csv(folder / "inbox" / "events.csv", index=False)


@contextmanager
def loaded(root: Path) -> Iterator[dg.Definitions]:
    """Load the definitions of a project in this process."""
    before = set(sys.modules)
    sys.path.insert(0, str(root / "src"))
    try:
        yield dg.load_from_defs_folder(path_within_project=root)
    finally:
        sys.path.remove(str(root / "src"))
        for name in set(sys.modules) - before:
            if name.split(".")[0] == "deployment":
                del sys.modules[name]


def call(root: Path, module: str, *arguments: str, fails: bool = False) -> str:
    """Run a command of a package in a project; return what it printed."""
    # Without the DAGSTER_HOME that a test before in this process may have set: it comes before that of the .env file.
    kept = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import main; main()", *arguments],
        cwd=root,
        env=kept | {"PYTHONPATH": os.pathsep.join([str(PROJECT_DIR), str(root / "src")]), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


# ------------------------------------------------------------------------------------ settings


def test_a_shop_has_its_own_paths_and_names(tmp_path: Path) -> None:
    folder = tmp_path / "web-shop"
    settings = ShopComponent(source="generic").settings_in(folder)
    assert settings.asset_prefix == "web_shop"
    assert settings.input == str(folder / "inbox")
    assert (settings.data_dir, settings.adapters_dir) == (folder / "data", folder / "adapters")
    elsewhere = ShopComponent(source="generic", input="s3://bucket/shop", data_dir="/srv/a", prefix="a")
    settings = elsewhere.settings_in(folder)
    assert (settings.input, str(settings.data_dir)) == ("s3://bucket/shop", "/srv/a")
    assert settings.asset_prefix == "a"


def test_the_environment_says_nothing_about_a_single_shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "CLM_SOURCE": "shopify",
        "CLM_INPUT": "elsewhere",
        "CLM_DATA_DIR": "elsewhere",
        "CLM_ADAPTERS_DIR": "elsewhere",
        "CLM_ASSET_PREFIX": "elsewhere",
        "CLM_START_DATE": "2000-01-03",
        "CLM_CURRENCY": "USD",
        "CLM_THREADS": "3",
        "CLM_CHURN_HORIZON_DAYS": "30",
    }.items():
        monkeypatch.setenv(name, value)
    shop = ShopComponent(source="generic", settings={"churn_horizon_days": 60})
    settings = shop.settings_in(tmp_path / "a")
    flat = settings.flat()
    assert not [name for name, value in flat.items() if "elsewhere" in str(value)]
    assert (settings.source, settings.currency, str(settings.start_date)) == ("generic", "", "2024-01-01")
    assert (settings.threads, flat["churn_horizon_days"]) == (3, 60)
    assert origins(settings)["churn_horizon_days"] == str(tmp_path / "a" / FILE)
    assert origins(settings)["threads"] == "environment, CLM_THREADS"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"settings": {"churn_horizn_days": 1}}, "settings.churn_horizn_days.*did you mean `churn_horizon_d"),
        ({"settings": {"data_dir": "x"}}, "`data_dir` for `settings.data_dir`"),
        ({"settings": {"asset_prefix": "x"}}, "`prefix` for `settings.asset_prefix`"),
        ({"settings": {"margin": 7}}, "CLM_MARGIN.*found 7"),
        ({"prefix": "a/b"}, "CLM_ASSET_PREFIX.*'a/b' is not a prefix"),
        ({"source": "shopfy"}, "source 'shopfy' has no adapter.*Known sources"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_attribute_is_named_with_its_file(
    attributes: dict[str, object], said: str, tmp_path: Path
) -> None:
    folder = write_shop(tmp_path, "a", **attributes)
    with pytest.raises(SettingsError, match=f"(?s)a/{FILE}.*{said}"):
        settings_of_folder(folder)


def test_a_folder_without_a_shop_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is no shop.*dg scaffold defs clm_dagster.ShopComponent"):
        settings_of_folder(tmp_path)
    (tmp_path / FILE).write_text("type: other.Component\n")
    with pytest.raises(SettingsError, match=r"defs.yaml: expected one component, of type clm_dagster"):
        settings_of_folder(tmp_path)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [({"data_dir": "../a/data"}, "both have the data_dir"), ({"prefix": "a"}, "both have the prefix a")],
)
def test_two_shops_share_neither_data_nor_prefix(
    attributes: dict[str, object], said: str, tmp_path: Path
) -> None:
    defs = make_project(tmp_path)
    write_shop(defs, "a")
    write_shop(defs, "b", **attributes)
    with pytest.raises(ComponentTreeException) as raised, loaded(tmp_path):
        pass
    cause = raised.value.__cause__
    assert isinstance(cause, SettingsError)
    assert said in str(cause) and f"a/{FILE}" in str(cause) and f"b/{FILE}" in str(cause)


# ------------------------------------------------------------------------------------ commands


def test_dg_scaffolds_a_shop(tmp_path: Path) -> None:
    defs = make_project(tmp_path)
    scaffold = ("dagster_dg_cli.cli", "scaffold", "defs", "clm_dagster.ShopComponent")
    call(tmp_path, *scaffold, "web-shop", "--source", "shopify")
    assert sorted(path.name for path in (defs / "web-shop").iterdir()) == [".gitignore", FILE, "inbox"]
    settings = settings_of_folder(defs / "web-shop")
    assert (settings.source, settings.asset_prefix) == ("shopify", "web_shop")
    write_shop(defs, "my_shop")
    with loaded(tmp_path) as definitions:
        keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert {"my_shop/marts/rfm_segments", "web_shop/marts/rfm_segments"} <= keys
    assert {key.split("/")[0] for key in keys} == {"my_shop", "web_shop"}


@pytest.mark.slow
def test_dg_checks_and_knows_the_component(tmp_path: Path) -> None:
    defs = make_project(tmp_path)
    write_shop(defs, "my_shop")
    assert "validated successfully" in call(tmp_path, "dagster_dg_cli.cli", "check", "yaml")
    assert "loaded successfully" in call(tmp_path, "dagster_dg_cli.cli", "check", "defs")
    assert "clm_dagster.ShopComponent" in call(tmp_path, "dagster_dg_cli.cli", "list", "components")
    listed = json.loads(call(tmp_path, "dagster_dg_cli.cli", "list", "defs", "--json"))
    assert "my_shop/marts/rfm_segments" in {asset["asset_key"] for asset in listed["assets"]}
    assert "my_shop_daily" in {job["name"] for job in listed["jobs"]}
    scaffold = ("dagster_dg_cli.cli", "scaffold", "defs", "clm_dagster.ShopComponent", "bad")
    assert "source 'shopfy' has no adapter" in call(tmp_path, *scaffold, "--source", "shopfy", fails=True)
    assert not (defs / "bad").exists()


def test_dg_knows_the_component_and_its_attributes() -> None:
    schema = ShopComponent.model().model_json_schema()["properties"]
    assert set(schema) == {"source", "input", "data_dir", "adapters_dir", "prefix", "settings"}
    assert all(attribute["description"] for attribute in schema.values())


@pytest.mark.slow
def test_the_command_works_in_a_checkout(tmp_path: Path) -> None:
    for name in ("clm_dagster", "dbt_like_sql", "dg.toml", "pyproject.toml"):
        path = PROJECT_DIR / name
        if path.is_dir():
            shutil.copytree(path, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, tmp_path / name)
    scaffold = [sys.executable, "-m", "dagster_dg_cli.cli", "scaffold", "defs", "clm_dagster.ShopComponent"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    for name in ("shop_a", "shop_b"):
        subprocess.run([*scaffold, name], cwd=tmp_path, env=environment, check=True)
    program = (
        "from clm_dagster.definitions import defs; graph = defs().resolve_asset_graph(); "
        "print(sorted({k.path[0] for k in graph.get_all_asset_keys()}))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = [
        "core",
        "exports",
        "landing",
        "marts",
        "models",
        "published",
        "raw",
        "shop_a",
        "shop_b",
        "staging",
    ]
    assert printed.strip() == str(found)


# ---------------------------------------------------------------------------------------- runs


DAYS, WEEKS = ("2024-01-01", "2024-01-14"), ("2024-01-01", "2024-01-08")
COUNTRIES = {"a": "DE", "b": "SE"}
SOME = ("raw/events", "staging/stg_events", "published/warehouse")


@pytest.fixture
def two_shops(tmp_path: Path) -> dict[str, Path]:
    """Two shops with other rows and other partitions in one project; their folders by prefix."""
    defs = make_project(tmp_path)
    shops = {
        "a": write_shop(defs, "a", settings={"start_date": "2024-01-01", "end_date": "2024-01-15"}),
        "b": write_shop(defs, "b", settings={"start_date": "2023-12-25", "end_date": "2024-01-15"}),
    }
    for seed, (shop, folder) in enumerate(shops.items()):
        deliver(folder, seed, 12 + 8 * seed, COUNTRIES[shop])
    return shops


def execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    keys: tuple[str, str] | None = None,
    only: Iterable[str] = (),
) -> None:
    """Run a job of a shop, on some of its assets if they are given."""
    shop = job.split("_")[0]
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags={RANGE_START: keys[0], RANGE_END: keys[1]} if keys else {},
        asset_selection=[dg.AssetKey([shop, *key.split("/")]) for key in only] or None,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success, job
    assert result.dagster_run.tags[SHOP_TAG] == shop
    assert {
        event.asset_key.path[0] for event in result.get_asset_materialization_events() if event.asset_key
    } == {shop}
    assert all(check.passed for check in result.get_asset_check_evaluations() if check.blocking)


def query(folder: Path, sql: str, file: str = "clm.duckdb") -> list[object]:
    """Return the first column of a query of a file in the data folder of a shop."""
    with duckdb.connect(str(folder / "data" / file), read_only=True) as connection:
        return [row[0] for row in connection.execute(sql).fetchall()]


def delivered(folder: Path) -> pd.DataFrame:
    """Return the events in the inbox of a shop that have a known customer."""
    events = pd.read_csv(folder / "inbox" / "events.csv")
    return events[events["customer_id"].notna()]


def test_two_shops_load_side_by_side(
    two_shops: dict[str, Path], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    with loaded(tmp_path) as definitions:
        for job, keys, only in (("land", None, ()), ("daily", DAYS, SOME)):
            for shop in two_shops:
                execute(definitions, instance, f"{shop}_{job}", keys, only)
        sensors = {found.name: found for found in definitions.get_repository_def().sensor_defs}

        def context() -> dg.SensorEvaluationContext:
            return dg.build_sensor_context(instance=instance, definitions=definitions)

        request = sensors["b_new_files"].evaluate_tick(context())
        assert sensors["b_new_files"].job_name == "b_land" and len(request.run_requests or ()) == 1
        changed = sensors["b_changed_days"].evaluate_tick(context())
        assert sensors["b_changed_days"].job_name == "b_daily" and changed.run_requests
        latest = sensors["a_changed_days"].evaluate_tick(context()).cursor or ""
    run = instance.get_run_by_id(latest)
    assert run is not None and run.job_name == "a_daily"
    for shop, folder in two_shops.items():
        assert query(folder, "select distinct country from raw.events where country is not null") == [
            COUNTRIES[shop]
        ]
        customers = query(folder, "select distinct customer_id from raw.events where customer_id is not null")
        assert set(customers) == set(delivered(folder)["customer_id"])
        assert (folder / "data" / "landing").is_dir()


@pytest.mark.slow
def test_two_shops_run_side_by_side(
    two_shops: dict[str, Path], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """All of both shops: days, snapshots, one training each in its own MLflow store, scores."""
    with loaded(tmp_path) as definitions:
        for job, keys, only in (
            ("land", None, ()),
            ("daily", DAYS, ()),
            ("snapshots", WEEKS, ()),
            ("models", WEEKS[1:] * 2, ("models/persona_model",)),
            ("scores", WEEKS[1:] * 2, ("marts/personas", "published/warehouse")),
        ):
            for shop in two_shops:
                execute(definitions, instance, f"{shop}_{job}", keys, only)
    for shop, folder in two_shops.items():
        bought = delivered(folder).query("event_type == 'purchase'")["customer_id"]
        assert set(
            query(folder, "select customer_id from marts.rfm_segments", "published/clm.duckdb")
        ) == set(bought)
        tracked = tracking_of(settings_of_folder(folder))
        client, experiment = tracked.open()
        assert client.get_experiment(experiment).name == f"clm_dagster.{shop}"
        assert query(folder, "select count(*) from models.persona_model") == [1]
        assert Path(folder / "data" / "mlflow.db").exists()


@pytest.mark.slow
def test_clm_runs_one_of_the_shops(tmp_path: Path) -> None:
    defs = make_project(tmp_path)
    folder = write_shop(defs, "a")
    deliver(folder, 0, 12, "DE")
    write_shop(defs, "b")
    home = tmp_path / "home"
    (tmp_path / ".env").write_text(f"DAGSTER_HOME={home}\nCLM_SOURCE=shopify\n")
    shop = ("clm_dagster.cli", "--shop", str(folder))
    summary = call(tmp_path, *shop, "run")
    assert "RFM segment at 2024-01-15" in summary
    assert "2024-01-08, the Monday of its week; as_of 2024-01-15, behaviour before it counts" in summary
    assert "Nothing to do" in call(tmp_path, *shop, "plan")
    assert "known customers" in call(tmp_path, *shop, "summary")
    assert "a/defs.yaml" in call(tmp_path, *shop, "settings")
    assert "those in its defs.yaml" in call(tmp_path, *shop, "run", "--source", "generic", fails=True)
    assert "--shop is not for" in call(tmp_path, *shop, "dev", fails=True)
    # The runs are in the deployment's home, and nothing is in the other shop's folder.
    assert (home / "history" / "runs.db").exists() and not (folder / "data" / "dagster").exists()
    assert [path.name for path in (defs / "b").iterdir()] == [FILE]
