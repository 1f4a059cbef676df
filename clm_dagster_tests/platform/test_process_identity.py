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


def test_a_container_with_a_name_knows_its_runs_after_a_restart() -> None:
    code = (
        "from clm_dagster.platform.processes import ProcessIdentity\n"
        "own = ProcessIdentity.own()\n"
        "print(own.host, own.pid, own.started)"
    )

    def identity(**environment: str) -> ProcessIdentity:
        own = os.environ | environment
        host, pid, started = subprocess.check_output([sys.executable, "-c", code], text=True, env=own).split()
        return ProcessIdentity(host, int(pid), started)

    before = identity(CLM_HOST_ID="code-location")
    assert before.host == "code-location"
    assert identity().host != "code-location"
    gone = (
        "from clm_dagster.platform.processes import ProcessIdentity\n"
        f"print(ProcessIdentity({before.host!r}, {before.pid}, {before.started!r}).is_gone())"
    )
    for named, expected in (("code-location", "True"), ("another", "False")):
        environment = os.environ | {"CLM_HOST_ID": named}
        assert (
            subprocess.check_output([sys.executable, "-c", gone], text=True, env=environment).strip()
            == expected
        )
