"""A small random shop.

Belongs here: its purchases. Does not: fixtures (`conftest`), the real wholesaler (`retail`).
"""

from datetime import date, timedelta

import numpy as np
import pandas as pd

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
