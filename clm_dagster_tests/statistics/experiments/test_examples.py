"""The examples in docstrings are what the functions return."""

import doctest
import importlib

import pytest

MODULES = (
    "assignment",
    "discoveries",
    "effects",
    "intervals",
    "moments",
    "power",
    "sample_ratio",
    "sequential",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(f"clm_dagster.statistics.experiments.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_name_of_the_package_can_be_imported() -> None:
    package = importlib.import_module("clm_dagster.statistics.experiments")
    assert all(hasattr(package, name) for name in package.__all__)
