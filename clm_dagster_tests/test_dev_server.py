"""`clm dev`: what is checked before the UI starts."""

import os
import socket
from collections.abc import Iterator

import pytest

from clm_dagster.dev_server import PortError, check_port


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_a_taken_port_names_its_holder_and_another_port(taken: int) -> None:
    with pytest.raises(PortError) as raised:
        check_port("127.0.0.1", taken)
    assert f"127.0.0.1:{taken} is taken by process {os.getpid()} (" in str(raised.value)
    assert "clm dev --port" in str(raised.value)


def test_a_free_port_is_left_free(taken: int) -> None:
    free = next(n for n in range(taken + 1, taken + 50) if not _taken(n))
    check_port("127.0.0.1", free)
    assert not _taken(free)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_host_that_is_not_this_machine_says_what_to_give() -> None:
    with pytest.raises(PortError, match="--host takes an address of this machine"):
        check_port("192.0.2.1", 3000)
