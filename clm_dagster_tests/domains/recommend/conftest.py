"""Two shops: a small random one for every test, and the real wholesaler for slow ones."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster_tests.domains.recommend.retail import retail_lines

AS_OF = date(2024, 6, 1)


def shop_lines(customers: int = 60, products: int = 25, lines: int = 1500, seed: int = 1) -> pd.DataFrame:
    """Random purchases over 400 days up to 60 after AS_OF; every customer has a taste for a third of the products."""
    rng = np.random.default_rng(seed)
    customer = rng.integers(0, customers, lines)
    product = np.where(
        rng.random(lines) < 0.8,
        customer % 3 + 3 * rng.integers(0, products // 3, lines),
        rng.integers(0, products, lines),
    )
    ago = rng.integers(-60, 340, lines)
    return pd.DataFrame(
        {
            "customer_id": [f"c{c:03d}" for c in customer],
            "product_id": [f"p{p:03d}" for p in product],
            "day": [pd.Timestamp(AS_OF - timedelta(days=int(d))) for d in ago],
            "quantity": rng.integers(1, 9, lines),
            "order_id": [f"o{c}-{d}" for c, d in zip(customer, ago, strict=True)],
        }
    )


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
