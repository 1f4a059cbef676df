"""A year of days that one process loads into a lake, and several side by side.

Belongs here: the processes, their times, and whether the tables are equal. Does not: output (`report`).

Needs DuckDB 1.5 with the extensions of the team profile, and PostgreSQL. The year is loaded by quarters in any case:
events, and the tables by day. Each process has one thread, so that a process can use one core.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clm_dagster_tests.benchmarks.children import PROJECT_DIR

if TYPE_CHECKING:
    import dagster as dg

    from clm_dagster.settings import Settings

CUSTOMERS, DAYS, PRODUCTS = 6_000, 365, 150
PROCESSES = (1, 4, 2)
_QUARTERS = [
    ("2024-01-01", "2024-03-31"),
    ("2024-04-01", "2024-06-30"),
    ("2024-07-01", "2024-09-30"),
    ("2024-10-01", "2024-12-30"),
]


def measure(work: str, rounds: int = 1) -> dict[str, Any]:
    """Load the year by 1, 4 and 2 processes, each into a lake of its own, and compare the lakes."""
    from clm_dagster.simulate.parameters import Parameters
    from clm_dagster.simulate.shop import simulate
    from clm_dagster_tests.domains.connect.postgres import serving

    simulated = simulate(Parameters(customers=CUSTOMERS, days=DAYS, products=PRODUCTS), Path(work, "shop"))
    found: dict[str, Any] = {"events": simulated.rows["events"], "cores": os.cpu_count(), "loads": []}
    sums: list[dict[str, Any]] = []
    with serving() as url:
        address = url.render_as_string(hide_password=False)
        for number in range(rounds):
            for processes in PROCESSES:
                lake = f"bench_{number}_{processes}"
                found["loads"].append({"processes": processes, **_load(work, address, lake, processes)})
                sums.append(_sums(_settings(work, address, lake, "sums")))
    found["equal"] = all(each == sums[0] for each in sums)
    found["tables"], found["rows"] = len(sums[0]), sum(count for count, _ in sums[0].values())
    return found


def _settings(work: str, address: str, lake: str, process: str) -> "Settings":
    from clm_dagster.settings import load_settings

    return load_settings(**_given(work, address, lake, process))


def _given(work: str, address: str, lake: str, process: str) -> dict[str, Any]:
    return {
        "source": "generic",
        "input": str(Path(work, "shop", "inbox")),
        "start_date": "2024-01-01",
        "end_date": "2024-12-31",
        "max_rejected_share": 0.9,
        "data_dir": str(Path(work, lake, process)),
        "catalog": address,
        "catalog_schema": lake,
        "data_path": str(Path(work, "shared")),
        "threads": 1,
        "processes": 1,
    }


def _load(work: str, address: str, lake: str, count: int) -> dict[str, Any]:
    """Land the files, start the processes, and measure from their common start to the end of the last one."""
    import dagster as dg

    from clm_dagster.definitions import build_definitions
    from clm_dagster.platform.job_names import DAILY
    from clm_dagster.platform.runs import execute, open_instance

    settings = _settings(work, address, lake, "land")
    with open_instance(settings) as instance:
        # The first day with all that the tables by day read, of which some tables are not loaded by days.
        day = _QUARTERS[0][0]
        only = [*_keys(settings, with_views=True), dg.AssetKey(["landing", "files"])]
        execute(build_definitions(settings), instance, DAILY, (day, day), lambda step, done: None, only)
    workers = []
    for number in range(count):
        quarters = _QUARTERS[number::count]
        given = json.dumps([_given(work, address, lake, f"process_{number}"), quarters])
        workers.append(
            subprocess.Popen(
                [sys.executable, "-m", __name__, given],
                cwd=PROJECT_DIR,
                env={**os.environ, "OMP_NUM_THREADS": "1", "DAGSTER_DISABLE_TELEMETRY": "true"},
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
    for worker in workers:
        assert worker.stdout is not None
        while (line := worker.stdout.readline()) != "ready\n":
            assert line, "a process has ended before it was ready"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    printed = [worker.communicate()[0] for worker in workers]
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert not any(worker.returncode for worker in workers), printed
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall": wall,
        "cpu": cpu,
        "repeated": sum(text.count("because of a conflict") for text in printed),
    }


def _sums(settings: "Settings") -> dict[str, tuple[int, str]]:
    """Return the number of rows of each table that was loaded, and a hash of them in any order."""
    from clm_dagster.platform.dbt_project.project import DAILY
    from clm_dagster.platform.domain import Shop
    from clm_dagster.platform.resources import warehouse_of

    models = Shop.open(settings).project.models.values()
    relations = ["raw.events", "raw.rejects", *(m.relation for m in models if m.window == DAILY)]
    found = {}
    with warehouse_of(settings).connect("a benchmark") as connection:
        for relation in relations:
            count, digest = connection.execute(
                f"select count(*), cast(bit_xor(hash(t)) as varchar) from {relation} as t"
            )[0]
            found[relation] = (count, digest)
    return found


def _keys(settings: "Settings", with_views: bool = False) -> "list[dg.AssetKey]":
    """Return the assets that are loaded by days; with_views: and what they read."""
    from clm_dagster.platform.dbt_project.building import with_upstream
    from clm_dagster.platform.dbt_project.project import DAILY
    from clm_dagster.platform.domain import Shop
    from clm_dagster.platform.naming import asset_key

    project = Shop.open(settings).project
    names = [model.name for model in project.models.values() if model.window == DAILY]
    relations = {"raw.events", *(project.nodes[name].relation for name in names)}
    if with_views:
        relations |= {project.nodes[name].relation for name in with_upstream(project, names)}
    return [asset_key(settings, relation) for relation in sorted(relations)]


def _work(given: dict[str, Any], quarters: list[list[str]]) -> None:
    """Load quarters, one after the other, once a line says so."""
    import logging

    from clm_dagster.definitions import build_definitions
    from clm_dagster.platform.job_names import DAILY
    from clm_dagster.platform.runs import execute, open_instance
    from clm_dagster.settings import load_settings

    conflicts = logging.getLogger("clm_dagster.platform.lake.conflicts")
    conflicts.setLevel(logging.INFO)
    conflicts.addHandler(logging.StreamHandler(sys.stdout))
    settings = load_settings(**given)
    definitions, only = build_definitions(settings), _keys(settings)
    with open_instance(settings) as instance:
        print("ready", flush=True)
        sys.stdin.readline()
        for first, last in quarters:
            execute(definitions, instance, DAILY, (first, last), lambda step, done: None, only)


if __name__ == "__main__":
    _work(*json.loads(sys.argv[1]))
