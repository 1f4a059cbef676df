"""Fixtures of the value tests: an evaluation of a simulated shop, and the real shops."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from clm_dagster_tests.domains.churn.shop import Shop, load_real_shop
from clm_dagster_tests.domains.value.shop import (
    FIRST_DAY,
    SETTINGS,
    TEST,
    Simulated,
    evaluation_of,
    spending_purchases,
)


@pytest.fixture(scope="session")
def simulated() -> Simulated:
    """Return features, labels and plan of an evaluation of the simulated shop."""
    shop = Shop.load(spending_purchases(), FIRST_DAY, FIRST_DAY + timedelta(days=500), 60)
    return evaluation_of(shop, TEST, FIRST_DAY, SETTINGS)


@pytest.fixture(scope="session")
def real_shop() -> Callable[[str], Shop]:
    """Load a real shop by its name; the test is skipped where the data are absent."""
    return load_real_shop
