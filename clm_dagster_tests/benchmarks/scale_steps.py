"""Processor seconds of each step of a day, a snapshot and its scores, at a shop of any size.

Belongs here: running the jobs, each in a process of its own. Does not: the shops (`scale_shops`), fits (`scale_costs`).
Seconds are those of all processors together, so that other work on the machine counts little. Lists of recommendations
cost more than all other scores; `recommend_scale` measures them at up to a million customers, and here they are left
out.
"""

import time
from typing import TYPE_CHECKING, Any

from clm_dagster_tests.benchmarks.inputs import LAST_DAY, LAST_WEEK
from clm_dagster_tests.benchmarks.scale_shops import settings_of

if TYPE_CHECKING:
    import dagster as dg

DAY, SNAPSHOT, SCORES = "day", "snapshot", "scores"
PHASES = (DAY, SNAPSHOT, SCORES)
LISTS = "marts.recommendations"


def run(folder: str, phase: str) -> dict[str, Any]:
    """Run one phase after the last day was delivered. Return processor seconds by step, and seconds of the clock."""
    import dagster as dg

    from clm_dagster.definitions import build_definitions
    from clm_dagster.domains.ingest.sensors import LAND
    from clm_dagster.platform.job_names import DAILY, SNAPSHOTS
    from clm_dagster.platform.job_names import SCORES as SCORES_JOB
    from clm_dagster.platform.runs import execute, prepare_home
    from clm_dagster_tests.benchmarks.stopwatch import install

    jobs: dict[str, list[tuple[str, tuple[str, str] | None]]] = {
        DAY: [(LAND, None), (DAILY, (LAST_DAY, LAST_DAY))],
        SNAPSHOT: [(SNAPSHOTS, (LAST_WEEK, LAST_WEEK))],
        SCORES: [(SCORES_JOB, (LAST_WEEK, LAST_WEEK))],
    }
    settings = settings_of(folder, 1)
    prepare_home(settings)
    watch = install(clock=time.process_time)
    with dg.DagsterInstance.ephemeral() as instance:
        definitions = build_definitions(settings)
        watch.take()
        start = time.perf_counter()
        for job, keys in jobs[phase]:
            only = _without_lists(definitions, job) if phase == SCORES else []
            execute(definitions, instance, job, keys, lambda step, done: None, only)
        split = watch.take()
    return {
        "steps": {name.replace("__", "."): kinds["wall"] for name, kinds in split.by_step().items()},
        "wall": time.perf_counter() - start,
    }


def _without_lists(definitions: "dg.Definitions", job: str) -> "list[dg.AssetKey]":
    """Return the assets of a job without the lists of recommendations."""
    import dagster as dg

    keys = set(definitions.resolve_job_def(job).asset_layer.executable_asset_keys)
    return sorted(keys - {dg.AssetKey(LISTS.split("."))})
