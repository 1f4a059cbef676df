"""Fixtures of the churn tests: an evaluation of a simulated shop, and the real shops."""

from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import pytest

from clm_dagster.statistics.evaluation import EvaluationPlan
from clm_dagster_tests.domains.churn.shop import (
    FIRST_DAY,
    SETTINGS,
    TEST,
    Shop,
    load_real_shop,
    simulated_purchases,
)


@pytest.fixture(scope="session")
def simulated() -> tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]:
    """Return features, labels and plan of an evaluation of the simulated shop."""
    shop = Shop.load(simulated_purchases(), FIRST_DAY, FIRST_DAY + timedelta(days=500), 60)
    return shop.evaluation(TEST, FIRST_DAY, SETTINGS)


@pytest.fixture(scope="session")
def real_shop() -> Callable[[str], Shop]:
    """Load a real shop by its name; the test is skipped where the data are absent."""
    return load_real_shop
