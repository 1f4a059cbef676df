"""Run every measurement in a separate process, without warm caches and with its own peak of memory.

Belongs here: starting a child and taking its result. Does not: any measurement. The parent imports
next to nothing, as a child's peak begins with what it inherits.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT_DIR = Path(__file__).resolve().parents[2]


def run(task: str, **arguments: Any) -> dict[str, Any]:
    """Run `module:function` of this package in a fresh process; its result with wall and peak memory.

    The function takes the arguments and returns something that JSON can hold. Exits on failure.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CLM_", "DAGSTER_", "MLFLOW_"))}
    environment |= {"DAGSTER_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", __name__, task, json.dumps(arguments), str(answer)],
            cwd=PROJECT_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - start
        if done.returncode or not answer.exists():
            sys.exit(f"{task} {arguments} failed:\n{done.stdout[-6000:]}")
        return {**json.loads(answer.read_text()), "process_wall": wall}


def main(task: str, arguments: str, answer: str) -> None:
    """The child's side of `run`."""
    module, function = task.split(":")
    call = getattr(importlib.import_module(f"{__package__}.{module}"), function)
    result = call(**json.loads(arguments))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1 if sys.platform == "darwin" else 1024
    result |= {
        "peak_mb": usage.ru_maxrss * scale / 1e6,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }
    Path(answer).write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
