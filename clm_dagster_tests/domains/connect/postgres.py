"""A PostgreSQL of our own for tests: a cluster in a temporary folder, on a free port."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa

USER = "postgres"
PASSWORD = "pa:ss/wörd-of-tests"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs; the test is skipped where there are none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("PostgreSQL is not installed: initdb is neither on PATH nor in /usr/lib/postgresql/*/bin")
    return folders[-1]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _user() -> str | None:
    """Return the user that runs PostgreSQL, None for that of the tests: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        pwd.getpwnam(USER)
        return USER
    pytest.skip(f"the tests run as root and there is no user {USER} to run PostgreSQL")


@contextmanager
def serving() -> Iterator[sa.URL]:
    """Run a cluster for as long as the block lasts. Yield the address of its database, with a password."""
    programs, port, user = binaries(), free_port(), _user()
    # Not below pytest's own folder, which only the user of the tests may enter.
    with TemporaryDirectory(prefix="clm_postgres_") as name:
        folder = Path(name)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if user:
            for path in (folder, secret):
                shutil.chown(path, user)
        data = folder / "data"
        options = [
            "-U",
            "clm",
            "--pwfile",
            str(secret),
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        _run([str(programs / "initdb"), "-D", str(data), *options, "--no-sync"], user)
        control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-s"]
        given = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -F"
        _run([*control, "-o", given, "-l", str(folder / "log"), "start"], user)
        try:
            yield sa.URL.create("postgresql", "clm", PASSWORD, "127.0.0.1", port, "postgres")
        finally:
            _run([*control, "-m", "immediate", "stop"], user)


def _run(command: list[str], user: str | None) -> None:
    group = pwd.getpwnam(user).pw_gid if user else None
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", timeout=60, user=user, group=group
    )
    assert done.returncode == 0, done.stdout + done.stderr
