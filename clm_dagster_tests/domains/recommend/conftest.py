"""Fixtures of the recommendation tests: a small random shop, and the real wholesaler for slow tests."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster_tests.domains.recommend.retail import retail_lines
from clm_dagster_tests.domains.recommend.shop import AS_OF, shop_lines


@pytest.fixture(scope="session")
def lines() -> pd.DataFrame:
    return shop_lines()


@pytest.fixture(scope="session")
def names() -> pd.DataFrame:
    words = ["RED", "BLUE", "GREEN"]
    return pd.DataFrame(
        {
            "product_id": [f"p{p:03d}" for p in range(25)],
            "name": [f"{words[p % 3]} MUG NO {p}" for p in range(25)],
        }
    )


@pytest.fixture(scope="session")
def past(lines: pd.DataFrame) -> Interactions:
    return interactions(lines, AS_OF)


@pytest.fixture(scope="session")
def later(lines: pd.DataFrame) -> Interactions:
    """All purchases up to sixty days after AS_OF."""
    return interactions(lines, AS_OF + timedelta(days=60))


@pytest.fixture(scope="session")
def retail(reference_data: Path) -> pd.DataFrame:
    """The real wholesaler."""
    return retail_lines(reference_data)
