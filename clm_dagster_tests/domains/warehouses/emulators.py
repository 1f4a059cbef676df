"""Emulators of warehouses for tests, each a program of its own that the environment names.

CLM_FAKESNOW: fakesnow with its extra `server`. CLM_BQEMULATOR: bqemulator. Tests are skipped, visibly, without them.
"""

import importlib.util
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from clm_dagster_tests.domains.connect.postgres import free_port


def needed(variable: str, module: str) -> str:
    """Return the program of an emulator; skip the test without it, or without the package that speaks to it."""
    program = os.environ.get(variable)
    if not program:
        pytest.skip(f"{variable} names no emulator")
    with suppress(ModuleNotFoundError):
        if importlib.util.find_spec(module) is not None:
            return program
    pytest.skip(f"the package {module} is not installed")


@contextmanager
def serving(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run a server for as long as the block lasts."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()[-2000:]
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.25)
        else:
            pytest.fail(log.read_text()[-2000:])
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def snowflake(folder: Path) -> Iterator[str]:
    """Yield the address of a Snowflake that never was."""
    program, port = needed("CLM_FAKESNOW", "snowflake.connector"), free_port()
    with serving([program, "-s", "--port", str(port)], port, folder / "fakesnow.log"):
        options = f"host=127.0.0.1&port={port}&protocol=http&login_timeout=20&network_timeout=20"
        yield f"snowflake://clm:pass-word@fakesnow/SHOP?{options}"


@contextmanager
def bigquery(folder: Path) -> Iterator[str]:
    """Yield the address of a BigQuery that never was."""
    program, port = needed("CLM_BQEMULATOR", "google.cloud.bigquery"), free_port()
    command = [program, "start", "--rest-port", str(port), "--grpc-port", str(free_port())]
    with serving(command, port, folder / "bqemulator.log"):
        yield f"bigquery://shop?endpoint=http://127.0.0.1:{port}"
