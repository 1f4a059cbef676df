"""The Dagster instance in the data folder: private, without telemetry, and opened by one process at a time."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dagster._core.instance import DagsterInstance

from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings

# Opens a fresh home, as `clm run` does, at the same moment as the other processes.
_OPEN = """
import pathlib, sys, time
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import load_settings
settings = load_settings(source="generic", data_dir=sys.argv[1])
pathlib.Path(sys.argv[2]).touch()
while len(list(pathlib.Path(sys.argv[2]).parent.glob("ready*"))) < int(sys.argv[3]):
    time.sleep(0.005)
with open_instance(settings) as instance:
    instance.get_runs()
"""


def test_the_ui_shows_no_dialog_and_sends_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "unused")
    with open_instance(settings) as instance:
        assert isinstance(instance, DagsterInstance)
        assert not instance.nux_enabled and not instance.telemetry_enabled
        config = yaml.safe_load((settings.dagster_home / "dagster.yaml").read_text())
    assert config["nux"] == config["telemetry"] == {"enabled": False}


def test_processes_that_open_a_fresh_home_together_all_can(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    settings, count = settings_for(), 3
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, str(settings.data_dir), str(tmp_path / f"ready{n}"), str(count)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(count)
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * count, said
