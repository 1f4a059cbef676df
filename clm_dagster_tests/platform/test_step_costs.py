"""Costs of a step: the peak memory is that of the step, not that of the process before it."""

import sys

import pytest

from clm_dagster.platform.step_costs import StepCosts


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the peak of a process")
def test_the_peak_is_that_of_the_step() -> None:
    costs = StepCosts()
    held = bytearray(120_000_000)
    held[::4096] = b"x" * len(held[::4096])
    big = costs.metadata()
    del held
    small = StepCosts().metadata()
    assert big["peak_mb"] - small["peak_mb"] > 100
    assert 0 <= small["seconds"] < big["seconds"] + 60
