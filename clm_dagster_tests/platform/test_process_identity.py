"""Which processes are certainly gone: by host, id and time of start."""

import os
import subprocess
import sys
import time
from dataclasses import replace

from clm_dagster.platform.processes import ProcessIdentity, is_running


def test_a_process_is_gone_only_if_it_is_certain() -> None:
    own = ProcessIdentity.own()
    assert not own.is_gone() and is_running(os.getpid())
    # Another process has got its id since.
    assert replace(own, started="an earlier boot").is_gone()
    # Nothing is known of other hosts.
    assert not replace(own, host="elsewhere", started="").is_gone()


def test_an_ended_process_is_gone_even_before_its_parent_asks() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    code = (
        "from clm_dagster.platform.processes import ProcessIdentity, _host, _started\n"
        f"print(_host(), {child.pid}, _started({child.pid}))"
    )
    # Another process sees the same identity.
    host, pid, started = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    identity = ProcessIdentity(host, int(pid), started)
    assert not identity.is_gone()
    child.kill()
    deadline = time.monotonic() + 10
    while not identity.is_gone() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert identity.is_gone() and not is_running(child.pid)  # a zombie
    child.wait()
    assert identity.is_gone()


def test_tags_give_back_the_identity() -> None:
    own = ProcessIdentity.own()
    tags = own.tags("clm/")
    assert ProcessIdentity.of_tags(tags, "clm/") == own
    assert ProcessIdentity.of_tags(tags, "other.") is None
    assert ProcessIdentity.of_tags(tags | {"clm/pid": "x"}, "clm/") is None
    assert str(os.getpid()) in tags.values()
