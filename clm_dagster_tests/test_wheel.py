"""The wheel works without a checkout: it is built from the sdist, installed and run in an empty folder."""

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from email.message import Message
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import duckdb
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clm_dagster.settings import PROJECT_DIR

pytestmark = pytest.mark.slow

SQL = PROJECT_DIR / "dbt_like_sql"
MODULES = sorted((PROJECT_DIR / "clm_dagster").rglob("*.py"))
# The sources of a build. They are copied, so that no earlier build in the checkout can leave files in the wheel.
SOURCES = (
    "clm_dagster",
    "clm_dagster_tests",
    "dbt_like_sql",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "target", "dbt_packages", "logs")
BUILD_SDIST = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"
DEMO = ("demo", "--customers", "200", "--days", "60", "--products", "12")


def call(command: Sequence[str | Path], cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed; the test fails if it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist of the working tree."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        path = PROJECT_DIR / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=NOT_SOURCES)
        else:
            shutil.copy(path, source / name)
    call([sys.executable, "-c", BUILD_SDIST, dist], source)
    (sdist,) = dist.glob("*.tar.gz")
    pip_wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    call([*pip_wheel, "--wheel-dir", dist, sdist], dist)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path, names: list[str]) -> Message:
    """The METADATA of the wheel; its payload is the README."""
    (path,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(path).decode())


@pytest.fixture(scope="module")
def clm(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `clm` of an environment that holds the wheel and, without a download, what it needs."""
    home = tmp_path_factory.mktemp("environment") / "venv"
    call([sys.executable, "-m", "venv", "--without-pip", home], home.parent)
    python = home / "bin" / "python"
    (site,) = home.glob("lib/python*/site-packages")
    # A folder that a .pth file names is put on sys.path, but its own .pth files are not read: the editable
    # installation of the checkout stays out.
    shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "dependencies.pth").write_text("\n".join(shared) + "\n")
    install = ["install", "--no-deps", "--no-index", str(wheel)]
    call([sys.executable, "-m", "pip", "--python", python, *install], home)
    return home / "bin" / "clm"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """An environment without settings or a path of the developer's."""
    dropped = ("CLM_", "DAGSTER_", "MLFLOW_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"COLUMNS": "300", "DAGSTER_DISABLE_TELEMETRY": "true"}


# ----------------------------------------------------------------------------------- contents


def test_the_sql_project_is_shipped_whole_inside_the_package(names: list[str]) -> None:
    ignored = {"target", "dbt_packages", "logs"}
    files = (path.relative_to(SQL) for path in SQL.rglob("*") if path.is_file())
    expected = {f"clm_dagster/dbt_like_sql/{path}" for path in files if path.parts[0] not in ignored}
    assert {name for name in names if "dbt_like_sql" in name} == expected


def test_the_package_is_shipped_whole_and_typed(names: list[str]) -> None:
    expected = {str(path.relative_to(PROJECT_DIR)) for path in MODULES} | {"clm_dagster/py.typed"}
    assert {name for name in names if name.endswith((".py", "py.typed"))} == expected


def test_nothing_but_the_package_is_shipped(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"clm_dagster"}


def test_the_metadata_of_the_wheel(wheel: Path, names: list[str], metadata: Message) -> None:
    assert metadata["Name"] == "clm-dagster"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (PROJECT_DIR / "README.md").read_text()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    (path,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(path).decode().split() == [
            "[console_scripts]",
            "clm",
            "=",
            "clm_dagster.cli:main",
            "[dagster_dg_cli.registry_modules]",
            "clm_dagster",
            "=",
            "clm_dagster",
        ]


def third_party(path: Path) -> set[str]:
    """The packages of others that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    return found - sys.stdlib_module_names - {"clm_dagster"}


# Packages of extras that the lock file leaves out, with their distributions.
NOT_LOCKED = {"google": ["google-cloud-bigquery"], "snowflake": ["snowflake-connector-python"]}


def test_every_package_that_is_imported_is_required(metadata: Message) -> None:
    required = {canonicalize_name(Requirement(text).name) for text in metadata.get_all("Requires-Dist", [])}
    owners = packages_distributions()
    missing = {
        package
        for path in MODULES
        for package in third_party(path)
        for found in [owners.get(package, []) + NOT_LOCKED.get(package, [])]
        if not required & {canonicalize_name(owner) for owner in found or [package]}
    }
    assert missing == set()


# --------------------------------------------------------------------------------------- runs


def test_the_installed_package_is_the_one_that_runs(
    clm: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    program = "import clm_dagster, json, sys; print(json.dumps([clm_dagster.__file__, sys.path]))"
    file, path = json.loads(call([clm.with_name("python"), "-c", program], tmp_path, environment))
    assert Path(file).is_relative_to(clm.parents[1])
    assert str(PROJECT_DIR) not in path


def test_the_commands_work_in_an_empty_folder(clm: Path, environment: dict[str, str], tmp_path: Path) -> None:
    assert "simulate" in call([clm, "--help"], tmp_path, environment)
    assert call([clm, "--version"], tmp_path, environment).startswith("clm, version ")
    settings = call([clm, "settings"], tmp_path, environment)
    (sql_dir,) = (line.split()[1] for line in settings.splitlines() if line.startswith("CLM_SQL_DIR"))
    assert Path(sql_dir).is_relative_to(clm.parents[1])
    assert not list(tmp_path.iterdir())
    size = ("--customers", "50", "--days", "14", "--products", "12")
    call([clm, "simulate", "--out", "shop", *size], tmp_path, environment)
    given = {"CLM_SOURCE": "generic", "CLM_INPUT": str(tmp_path / "shop" / "inbox")}
    plan = json.loads(call([clm, "plan", "--json"], tmp_path, environment | given))
    assert plan["new_files"]


def test_a_new_shop_starts_from_the_wheel(clm: Path, environment: dict[str, str], tmp_path: Path) -> None:
    site = sorted(path for path in clm.parents[1].rglob("*") if path.suffix in (".yml", ".sql"))
    call([clm, "init", "web", "--from", "shopify"], tmp_path, environment)
    assert "adapters/my_shop" in call([clm, "init", "my_shop"], tmp_path, environment)
    folder = tmp_path / "my_shop"
    (folder / "inbox" / "orders.csv").write_text(
        "order_number,ordered_at,email,sku,product,quantity,price,status\n"
        "1,2024-03-05 10:00:00,ann@example.org,M1,Mask,2,3.50,paid\n"
    )
    assert json.loads(call([clm, "plan", "--json"], folder, environment))["new_files"]
    assert "CLM_SOURCE=shopify" in call([clm, "inspect", write_shopify(tmp_path)], tmp_path, environment)
    # Nothing was written to the installation.
    assert sorted(path for path in clm.parents[1].rglob("*") if path.suffix in (".yml", ".sql")) == site


def write_shopify(folder: Path) -> Path:
    """Write a small export of orders of Shopify."""
    path = folder / "orders_export.csv"
    path.write_text(
        "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price\n"
        "#1001,ann@example.org,paid,2024-03-05 14:03:22 +0100,1,Mask,34.90\n"
    )
    return path


@pytest.fixture(scope="module")
def demo(clm: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was empty before `clm demo`; the demo's data folder is in it."""
    folder = tmp_path_factory.mktemp("demo")
    printed = call([clm, *DEMO], folder, environment)
    assert "CLM_DATA_DIR=data/demo clm dev" in printed
    return folder


def test_the_demo_runs_in_an_empty_folder(clm: Path, environment: dict[str, str], demo: Path) -> None:
    assert [path.name for path in demo.iterdir()] == ["data"]
    published = demo / "data" / "demo" / "published" / "clm.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        ((customers,),) = connection.execute("select count(*) from marts.rfm_segments").fetchall()
    assert customers > 0
    shown = environment | {"CLM_DATA_DIR": "data/demo"}
    assert "Nothing to do" in call([clm, "plan"], demo, shown)
    assert "RFM segment at" in call([clm, "summary"], demo, shown)


def test_the_ui_starts_on_the_demo(
    clm: Path, environment: dict[str, str], demo: Path, tmp_path: Path
) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = tmp_path / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [clm, "dev", "--port", str(port)],
            cwd=demo,
            env=environment | {"CLM_DATA_DIR": "data/demo"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        answer = graphql(server, f"http://127.0.0.1:{port}", log)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=30)
        with suppress(ProcessLookupError):  # where all of them have ended by themselves
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    (repository,) = answer["repositoriesOrError"]["nodes"]
    assert repository["location"]["name"] == "clm_dagster"
    assert ["marts", "rfm_segments"] in [node["assetKey"]["path"] for node in repository["assetNodes"]]
    # The runs of `clm demo` are those that the UI shows.
    assert {run["status"] for run in answer["runsOrError"]["results"]} == {"SUCCESS"}


QUERY = """
{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } assetNodes { assetKey { path } } } } }
  runsOrError { ... on Runs { results { status } } } }
"""


def graphql(server: subprocess.Popen[bytes], url: str, log: Path) -> dict[str, Any]:
    """Wait until a server is up and return its answer to the query."""
    for _ in range(360):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).close()
            break
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    else:
        pytest.fail(log.read_text())
    body = json.dumps({"query": QUERY}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)["data"]
    return answer
