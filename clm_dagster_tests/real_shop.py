"""The command line as a user calls it, and a run of the real shop, for the tests of several domains."""

import os
import subprocess
import sys
from pathlib import Path

from clm_dagster.settings import PROJECT_DIR


def clm(*arguments: str, data_dir: Path) -> str:
    """Run the command line as a user does, and return its output."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CLM_", "DAGSTER_HOME"))}
    # One training of each model: domains test their own on this shop at several instants.
    environment |= {
        "CLM_DATA_DIR": str(data_dir),
        "CLM_TRAIN_COUNT": "1",
        "CLM_SCORE_COUNT": "2",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name("clm")), *arguments],
        cwd=PROJECT_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_real_shop(folder: Path, csv: Path) -> Path:
    """Load the two years, train each model once, score two snapshots."""
    clm("run", "--source", "online_retail_ii", "--input", str(csv), data_dir=folder)
    return folder
