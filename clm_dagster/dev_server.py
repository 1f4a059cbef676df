"""`clm dev`: the Dagster UI on one shop.

Belongs here: what has to be there before Dagster starts, and how it is started. Does not: options (`cli`).
"""

import errno
import os
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from clm_dagster.errors import UserError
from clm_dagster.platform.code_location import LOCATION, MODULE
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings
from clm_dagster.storage import write_atomically

_WORKSPACE = f"""\
# Written by `clm dev` at every start.
load_from:
  - python_module:
      module_name: {MODULE}
      location_name: {LOCATION}
"""
_LISTENS = "0A"
_OTHER_PORTS = 20


class PortError(UserError, OSError):
    """The UI cannot listen where it should. The message names who does, and another port."""


def serve(settings: Settings, host: str, port: int) -> NoReturn:
    """Replace this process by the Dagster UI. Raise PortError before anything is started."""
    check_port(host, port)
    # A workspace of its own: an installed wheel has neither the checkout's workspace.yaml nor its dg.toml.
    with open_instance(settings):
        workspace = Path(os.environ["DAGSTER_HOME"]) / "workspace.yaml"
    write_atomically(workspace, _WORKSPACE)
    # The module instead of the script `dg`, which is not always beside the interpreter.
    command = [sys.executable, "-m", "dagster_dg_cli.cli", "dev", "--workspace", str(workspace)]
    os.execv(command[0], [*command, "--host", host, "--port", str(port)])


def check_port(host: str, port: int) -> None:
    """Raise PortError if nothing can listen on a port of a host."""
    try:
        _listen(host, port)
    except OSError as error:
        place = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            free = next(
                (n for n in range(port + 1, min(port + _OTHER_PORTS, 65_536)) if _is_free(host, n)), None
            )
            other = f"; `clm dev --port {free}` uses a free one" if free else "; choose another with --port"
            raise PortError(
                f"the port {place} is taken by {_holder_of(port)}. Perhaps the UI is open already: look at "
                f"http://{place}. End that program{other}"
            ) from error
        if error.errno == errno.EACCES:
            raise PortError(
                f"this user may not listen on {place}: ports below 1024 are the system's. Choose another with --port, "
                "for example `clm dev --port 3000`"
            ) from error
        raise PortError(
            f"cannot listen on {place}: {error.strerror or error}. --host takes an address of this machine, such as "
            "127.0.0.1, or 0.0.0.0 for all of them"
        ) from error


def _listen(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as listener:
        # As the web server does: a port whose last connection has just been closed is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)


def _is_free(host: str, port: int) -> bool:
    try:
        _listen(host, port)
    except OSError:
        return False
    return True


def _holder_of(port: int) -> str:
    """Return the process that listens on a port, as far as this user can see it."""
    sockets = _listening_sockets(port)
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        if sockets & _open_files(process):
            return f"process {process.name} ({_command(process)})"
    return "another process"


def _open_files(process: Path) -> set[str]:
    """Return what a process has open, as links in /proc name it; nothing where this user may not see it."""
    found = set()
    try:
        for link in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found.add(str(link.readlink()))
    except OSError:  # of another user, or ended meanwhile
        return set()
    return found


def _listening_sockets(port: int) -> set[str]:
    """Return the sockets that listen on a port, as links in /proc name them; none where there is no /proc."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _command(process: Path) -> str:
    """Return the program of a process and its first arguments."""
    try:
        parts = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "its program is not visible to this user"
    # No further arguments: they may hold passwords.
    return " ".join([Path(parts[0]).name, *(part for part in parts[1:3] if re.fullmatch(r"[\w./-]+", part))])
