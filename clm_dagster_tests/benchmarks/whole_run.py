"""The README's own commands on an empty folder: everything, and only up to the segments.

Belongs here: `clm run` on Online Retail II and `clm demo`, each as a user starts it, with the clock, processor time and
the costs of each step. Does not: output and goals (`report_run`).
"""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from clm_dagster_tests.benchmarks import children

_SET_CHILD_SUBREAPER = 36  # of prctl(2)
PROJECT_DIR = Path(__file__).resolve().parents[2]


def measure(real: str, work: str, repeats: int, parts: list[str]) -> dict[str, Any]:
    """Return the figures of each command, as lists of one figure for each repeat, and the steps of the last one."""
    commands = {
        "segments": ["run", "--no-models", "--source", "online_retail_ii", "--input", real],
        "run": ["run", "--source", "online_retail_ii", "--input", real],
        "demo": ["demo"],
    }
    found: dict[str, Any] = {}
    for name in parts:
        rounds = []
        for _ in range(repeats):
            folder = f"{work}/{name}"
            shutil.rmtree(folder, ignore_errors=True)
            rounds.append(children.run("whole_run:command", arguments=commands[name], folder=folder))
        figures = {key: [found[key] for found in rounds] for key in ("wall", "processor_seconds", "segments")}
        found[name] = figures | {"steps": rounds[-1]["steps"], "stages": rounds[-1]["stages"]}
    return found


def command(arguments: list[str], folder: str) -> dict[str, Any]:
    """Run one command of `clm` in a process of its own, and read what its runs cost."""
    environment = os.environ | {"CLM_DATA_DIR": folder, "COLUMNS": "200"}
    _adopt_orphans()
    start, clock = time.perf_counter(), datetime.now()
    output = Path(folder).with_suffix(".log")
    with output.open("w") as log:
        done = subprocess.run(
            [sys.executable, "-c", "from clm_dagster.cli import main; main()", *arguments],
            cwd=PROJECT_DIR,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"clm {' '.join(arguments)} failed:\n{output.read_text()[-4000:]}")
    _wait_for_orphans()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    data = Path(folder) / "demo" if arguments[0] == "demo" else Path(folder)
    return {
        "wall": wall,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        **_costs(data, clock),
    }


def _adopt_orphans() -> None:
    """Become the parent of processes whose own has ended (Linux), so that their processor time is counted here.

    The process from which the workers of a run are forked outlives the command for an instant.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1)


def _wait_for_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _costs(data: Path, start: datetime) -> dict[str, Any]:
    """Return seconds and peak memory by step, seconds by job, and when the segments were published."""
    import dagster as dg

    os.environ["DAGSTER_HOME"] = str(data / "dagster")
    steps: dict[str, dict[str, float]] = {}
    stages: dict[str, float] = {}
    segments = None
    with dg.DagsterInstance.get() as instance:
        for record in sorted(instance.get_run_records(), key=lambda record: record.start_time or 0.0):
            assert record.start_time is not None and record.end_time is not None
            job = record.dagster_run.job_name
            stages[job] = stages.get(job, 0.0) + record.end_time - record.start_time
            if job == "snapshots":
                segments = record.end_time - start.timestamp()
            _add_steps(instance, record.dagster_run.run_id, steps)
    return {"steps": steps, "stages": stages, "segments": segments}


def _add_steps(instance: Any, run_id: str, steps: dict[str, dict[str, float]]) -> None:
    import dagster as dg

    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        metadata = entry.asset_materialization.metadata
        if "seconds" not in metadata:
            continue
        name = ".".join(entry.asset_materialization.asset_key.path)
        found = steps.setdefault(name, {"seconds": 0.0, "peak_mb": 0.0})
        found["seconds"] += float(metadata["seconds"].value)
        peak = metadata.get("peak_mb")
        found["peak_mb"] = max(found["peak_mb"], float(peak.value) if peak else 0.0)


if __name__ == "__main__":
    print(json.dumps(_costs(Path(sys.argv[1]), datetime.now()), indent=1))
