"""compose.yaml as Docker reads it, and its services as processes of this machine.

Belongs here: reading the file, starting the commands that it names. Does not: what a test expects.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from clm_dagster.settings import PROJECT_DIR

FILES = PROJECT_DIR / ".docker"
_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-?]([^}]*))?\}")
_WAIT = 90


def read_compose(name: str = "compose.yaml") -> dict[str, Any]:
    """Return the file with the defaults of its variables."""
    text = _VARIABLE.sub(lambda found: found[2] or "", (PROJECT_DIR / name).read_text())
    content: dict[str, Any] = yaml.safe_load(text)
    return content


@dataclass
class Processes:
    """The services of compose.yaml as processes.

    places: what stands in the file for a container's network and file system, and what it is on this machine. extra:
    further variables of each service.
    """

    folder: Path
    places: Mapping[str, str]
    extra: Mapping[str, dict[str, str]]
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @cached_property
    def services(self) -> dict[str, Any]:
        """The services of compose.yaml."""
        services: dict[str, Any] = read_compose()["services"]
        return services

    def here(self, text: str) -> str:
        """Return a text of the file with the places of this machine, all replaced at once."""
        pattern = "|".join(re.escape(place) for place in sorted(self.places, key=len, reverse=True))
        return re.sub(pattern, lambda found: self.places[found[0]], text)

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment that a service has: its own, and what an image has."""
        named: dict[str, str] = self.services[service]["environment"]
        base = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT_DIR),
            "LANG": "C.UTF-8",
        }
        return base | {name: self.here(value) for name, value in named.items()} | self.extra.get(service, {})

    def _command(self, parts: list[str]) -> list[str]:
        return [str(FILES / "entrypoint"), *(self.here(part) for part in parts)]

    def start(self, service: str) -> None:
        """Start a service as soon as those that it depends on are healthy."""
        for needed, until in self.services[service].get("depends_on", {}).items():
            if needed in self.running and until["condition"] == "service_healthy":
                self.wait_until_healthy(needed)
        with (self.folder / f"{service}.log").open("ab") as log:
            self.running[service] = subprocess.Popen(
                self._command(self.services[service]["command"]),
                cwd=self.folder,
                env=self.environment(service),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def execute(self, service: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """Execute a command in a service, as `docker compose exec` with the entry point does."""
        return subprocess.run(
            self._command(list(command)),
            cwd=self.folder,
            env=self.environment(service),
            capture_output=True,
            text=True,
            check=False,
            timeout=_WAIT,
        )

    def is_healthy(self, service: str) -> bool:
        """Return what the health check of a service finds."""
        kind, *command = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.execute(service, *command).returncode == 0

    def wait_until_healthy(self, service: str) -> None:
        """Wait for a service. Raise AssertionError with its output if it ends, or is never healthy."""
        deadline = time.monotonic() + _WAIT
        while not self.is_healthy(service):
            assert self.running[service].poll() is None and time.monotonic() < deadline, self.output(service)
            time.sleep(2)  # a check costs seconds of processor time

    def output(self, service: str) -> str:
        """Return the last lines that a service has written."""
        return f"{service}: " + (self.folder / f"{service}.log").read_text()[-4000:]

    def stop(self, service: str) -> None:
        """Stop a service as Docker does: SIGTERM, and SIGKILL for all its processes after a while."""
        process = self.running.pop(service)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        """Stop what runs, the newest first."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for service in reversed(list(self.running)):
            self.stop(service)
