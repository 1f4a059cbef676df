"""Fixtures: two simulated shops, one of each world."""

from collections.abc import Iterator

import pytest

from clm_dagster.simulate.parameters import STATIONARY
from clm_dagster_tests.simulate.shop import Shop, make


@pytest.fixture(scope="session")
def believable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = make(tmp_path_factory.mktemp("believable"), customers=12_000, days=400, products=120, seed=5)
    yield shop
    shop.close()


@pytest.fixture(scope="session")
def stationary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = make(
        tmp_path_factory.mktemp("stationary"),
        customers=12_000,
        days=200,
        products=60,
        seed=6,
        world=STATIONARY,
    )
    yield shop
    shop.close()
