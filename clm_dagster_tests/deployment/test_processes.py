"""The processes of compose.yaml by hand, on a real PostgreSQL: from nothing to finished runs."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.job_names import DAILY, MODELS, SNAPSHOTS
from clm_dagster.settings import load_settings
from clm_dagster_tests.deployment.compose_file import FILES, Processes
from clm_dagster_tests.domains.connect.postgres import PASSWORD, binaries, free_port, serving
from clm_dagster_tests.shops import small_shop_events

pytestmark = pytest.mark.slow

TRAINED = "models/persona_model"
SHOP = {"source": "generic", "start_date": "2024-01-01", "end_date": "2024-01-15"}
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""


class Deployment:
    """The running processes, and what a user does with them."""

    def __init__(self, processes: Processes, database: sa.URL, webserver: int) -> None:
        self.processes = processes
        self._database = database
        self._url = f"http://127.0.0.1:{webserver}/graphql"

    def launch(self, job: str, first: str, last: str, *assets: str) -> str:
        """Launch a job over a range of partitions, as the UI does; return the id of the run."""
        selector = {
            "repositoryLocationName": "clm_dagster",
            "repositoryName": "__repository__",
            "jobName": job,
            "assetSelection": [{"path": asset.split("/")} for asset in assets] or None,
        }
        tags = {"start": first, "end": last}
        given = [{"key": f"dagster/asset_partition_range_{n}", "value": v} for n, v in tags.items()]
        params = {"selector": selector, "executionMetadata": {"tags": given}}
        body = json.dumps({"query": LAUNCH, "variables": {"params": params}}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)["data"]["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def ask(self, database: str, sql: str, **values: str) -> list[tuple[Any, ...]]:
        """Query PostgreSQL itself."""
        engine = sa.create_engine(self._database.set(drivername="postgresql+psycopg2", database=database))
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(sa.text(sql), values)]
        finally:
            engine.dispose()

    def status(self, run_id: str) -> str:
        """Return the status of a run in PostgreSQL."""
        ((status,),) = self.ask("dagster", "select status from runs where run_id = :id", id=run_id)
        return str(status)

    def wait(self, run_id: str) -> None:
        """Wait until a run has succeeded. Raise AssertionError with its errors otherwise."""
        deadline = time.monotonic() + 120
        while (status := self.status(run_id)) != "SUCCESS":
            logs = "".join(self.processes.output(name) for name in ("code-location", "daemon"))
            assert status != "FAILURE" and time.monotonic() < deadline, f"{status}\n{logs}"
            time.sleep(0.3)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """PostgreSQL with empty databases, and the processes of compose.yaml, started in their order."""
    for name in ("inbox", "data/dagster", "artifacts", "secrets", "etc"):
        (tmp_path / name).mkdir(parents=True)
    events = small_shop_events(customers=30, orders=90, days=14)
    events.to_csv(tmp_path / "inbox" / "events.csv", index=False)
    (tmp_path / "secrets" / "postgres_password").write_text(PASSWORD)
    code, web, mlflow = free_port(), free_port(), free_port()
    with serving() as database:
        places = {
            "/run/secrets": str(tmp_path / "secrets"),
            "/etc/clm": str(tmp_path / "etc"),
            "/data": str(tmp_path / "data"),
            "/inbox": str(tmp_path / "inbox"),
            "/artifacts": str(tmp_path / "artifacts"),
            "/tmp": str(tmp_path),
            "postgres:5432": f"127.0.0.1:{database.port}",
            "mlflow:5000": f"127.0.0.1:{mlflow}",
            "0.0.0.0": "127.0.0.1",
            "host: code-location": "host: 127.0.0.1",
            "5000": str(mlflow),
            "4000": str(code),
            "3000": str(web),
        }
        shop = {f"CLM_{name.upper()}": value for name, value in SHOP.items()}
        processes = Processes(tmp_path, places, {"code-location": shop})
        (tmp_path / "data" / "dagster" / "dagster.yaml").write_text((FILES / "dagster.yaml").read_text())
        workspace = processes.here((FILES / "workspace.yaml").read_text())
        (tmp_path / "etc" / "workspace.yaml").write_text(workspace)
        make_databases(processes, database)
        try:
            for service in ("mlflow", "code-location", "webserver", "daemon"):
                processes.start(service)
            processes.wait_until_healthy("webserver")
            yield Deployment(processes, database, web)
        finally:
            processes.stop_all()


def make_databases(processes: Processes, database: sa.URL) -> None:
    """Make the databases as the image of PostgreSQL does: the first one itself, then by the script in its folder."""
    named = processes.services["postgres"]["environment"]
    login = {"PGHOST": "127.0.0.1", "PGPORT": str(database.port), "PGPASSWORD": PASSWORD}
    environment = os.environ | named | login | {"PATH": f"{binaries()}:{os.environ['PATH']}"}
    own = ["createdb", "--username", named["POSTGRES_USER"], named["POSTGRES_DB"]]
    for command in (own, ["sh", str(FILES / "databases.sh")]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    kind, *check = processes.services["postgres"]["healthcheck"]["test"]
    assert kind == "CMD"
    assert subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0


def needed(job: str) -> list[str]:
    """Return what the trained model needs of a job."""
    definitions = build_definitions(load_settings(**SHOP))
    graph = definitions.resolve_asset_graph()
    found: set[dg.AssetKey] = set()
    waiting = [dg.AssetKey(TRAINED.split("/"))]
    while waiting:
        new = graph.get(waiting.pop()).parent_keys - found
        found |= new
        waiting += new
    own = definitions.resolve_job_def(job).asset_layer.executable_asset_keys
    return sorted(key.to_user_string() for key in found & set(own))


def test_from_nothing_to_finished_runs(deployment: Deployment, tmp_path: Path) -> None:
    processes = deployment.processes
    first = deployment.launch(DAILY, "2024-01-01", "2024-01-14", *needed(DAILY))
    deployment.wait(first)
    assert processes.is_healthy("daemon"), processes.output("daemon")

    # A run that is launched while the daemon is away waits in the queue, and is executed after its restart.
    processes.stop("daemon")
    second = deployment.launch(SNAPSHOTS, "2024-01-01", "2024-01-08", *needed(SNAPSHOTS))
    assert deployment.status(second) == "QUEUED"
    processes.start("daemon")
    deployment.wait(second)
    assert deployment.status(first) == "SUCCESS"

    third = deployment.launch(MODELS, "2024-01-08", "2024-01-08", TRAINED)
    deployment.wait(third)
    trained = deployment.ask(
        "mlflow",
        "select r.status, r.artifact_uri from runs r join tags t on t.run_uuid = r.run_uuid "
        "where t.key = 'dagster.run_id' and t.value = :id",
        id=third,
    )
    assert trained and {status for status, _ in trained} == {"FINISHED"}
    assert all(uri.startswith("mlflow-artifacts:/") for _, uri in trained)
    assert list((tmp_path / "artifacts").rglob("*.skops"))

    # The runs were executed where the data is; Dagster's events are in PostgreSQL, and in no file.
    host = "select value from run_tags where run_id = :id and key = '.dagster/clm_host'"
    assert deployment.ask("dagster", host, id=third) == [("code-location",)]
    assert not list((tmp_path / "data" / "dagster").rglob("*.db"))

    said = processes.execute("code-location", "clm", "status", "--json")
    assert said.returncode in (0, 1), said.stdout + said.stderr
    assert "daily" in said.stdout and "Traceback" not in said.stderr
    for file in tmp_path.glob("*.log"):
        assert PASSWORD not in file.read_text()
