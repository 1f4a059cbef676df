"""Runs that the terminal starts, as the UI lists them."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from clm_dagster.platform.code_location import LOCATION, MODULE, job_origin, origin_tags
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.shops import small_shop_events
from clm_dagster_tests.test_definitions import environment, run, serving

__all__ = ["environment"]  # a fixture

QUERY = """
{ repositoriesOrError { ... on RepositoryConnection { nodes {
  name location { name }
  pipelines { name runs { status repositoryOrigin { repositoryName repositoryLocationName } } }
} } } }
"""
_RUN = "from clm_dagster.cli import main; main()"


def test_the_origin_is_that_of_the_workspace() -> None:
    workspace = (PROJECT_DIR / "workspace.yaml").read_text()
    assert f"module_name: {MODULE}\n" in workspace and f"location_name: {LOCATION}\n" in workspace
    assert origin_tags() == {".dagster/repository": "__repository__@clm_dagster"}
    assert job_origin("daily").location_name == LOCATION


@pytest.mark.slow
def test_the_ui_lists_runs_of_the_terminal_under_their_jobs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "inbox").mkdir()
    small_shop_events(customers=6, orders=10, days=8).to_csv(tmp_path / "inbox" / "events.csv", index=False)
    settings = {"CLM_INPUT": str(tmp_path / "inbox"), "CLM_END_DATE": "2024-01-09", "CLM_TRAIN_COUNT": "0"}
    shop = environment | settings | {"DAGSTER_HOME": str(tmp_path / "data" / "dagster")}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, "run", "--no-models"],
        cwd=PROJECT_DIR,
        env=shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run("dg launch --assets staging/rfm_segment_map", shop)
    with serving("dagster-webserver -w workspace.yaml", shop, tmp_path / "server.log") as port:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            json.dumps({"query": QUERY}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: Any = json.load(response)
    (repository,) = answer["data"]["repositoriesOrError"]["nodes"]
    assert (repository["name"], repository["location"]["name"]) == ("__repository__", LOCATION)
    listed = {job["name"]: job["runs"] for job in repository["pipelines"]}
    origin = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
    for job in ("land", "daily", "snapshots"):
        assert listed[job] and all(found["status"] == "SUCCESS" for found in listed[job]), listed
        assert all(found["repositoryOrigin"] == origin for found in listed[job]), listed
    # Dagster itself executes this one: it has the label, by which it is listed, and no origin.
    assert [found["status"] for found in listed["__ASSET_JOB"]] == ["SUCCESS"]
