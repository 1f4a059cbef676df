"""Which process did something, and whether it certainly is gone.

Belongs here: identities of processes as tags of runs, of Dagster and of MLflow. Does not: closing these runs (`runs`,
`mlflow_store`).

An id of a process is used again, sooner or later, and says nothing on another host. A container is a host of its own,
and another one after each restart, unless the deployment names it: the setting `host_id`, which only the environment
gives, because a process has one host for all shops.
"""

import functools
import hashlib
import os
import platform
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Begin of the tags that name the process that executes a run of Dagster, to detect runs whose process was killed.
# Dagster's UI does not show tags that begin with `.dagster/`.
OWNER = ".dagster/clm_"
# The same tags in versions before 2026-12.
OLD_OWNER = "clm/"
_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process. host: name of its host with a hash of what tells hosts of one name apart. started: when it began."""

    host: str
    pid: int
    started: str

    @classmethod
    def own(cls) -> "ProcessIdentity":
        """Return the identity of this process."""
        pid = os.getpid()
        return cls(_host(), pid, _started(pid) or "")

    @classmethod
    def of_tags(cls, tags: Mapping[str, str], prefix: str) -> "ProcessIdentity | None":
        """Return the identity that `tags` has written with this prefix, None if it is not complete."""
        host, pid, started = (tags.get(prefix + name) for name in ("host", "pid", "process_start"))
        return cls(host, int(pid), started) if host and pid and pid.isdigit() and started else None

    def tags(self, prefix: str) -> dict[str, str]:
        """Return the identity as tags."""
        return {
            f"{prefix}host": self.host,
            f"{prefix}pid": str(self.pid),
            f"{prefix}process_start": self.started,
        }

    def is_gone(self) -> bool:
        """Whether the process certainly has ended: it was one of this host, and does not run any more."""
        return self.host == _host() and _started(self.pid) != self.started


def is_running(pid: int) -> bool:
    """Whether a process with this id runs on this host, whichever it is."""
    return _started(pid) is not None


@functools.cache
def _host() -> str:
    """Return the name that the deployment gives this host, else one that no other host has.

    That is the host's name with a hash of the machine and of its namespace of process ids, which a container has.
    """
    if named := os.environ.get("CLM_HOST_ID"):
        return named
    parts = [_read("/etc/machine-id") or _read("/proc/sys/kernel/random/boot_id") or str(uuid.getnode())]
    namespace = _PROC / "self" / "ns" / "pid"
    parts += [str(namespace.stat().st_ino)] if namespace.exists() else []
    return f"{platform.node()}#{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]}"


def _started(pid: int) -> str | None:
    """Return when a process of this host began, in ticks since a boot or as text; None if it does not run."""
    if not (_PROC / "self").exists():
        found = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return found.stdout.strip() or None
    stat = _read(f"/proc/{pid}/stat")
    if not stat:
        return None
    # The second field is the name of the program, which may contain anything.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):  # it has ended, and its parent has not asked yet
        return None
    return f"{_boot()}-{fields[19]}"


@functools.cache
def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id")[:8]


def _read(path: str) -> str:
    """Return the text of a small file, empty if there is none. A process may end while it is read."""
    try:
        return Path(path).read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
