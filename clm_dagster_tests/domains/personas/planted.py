"""Customers of planted groups, in the shape of core.customer_features and core.customer_categories."""

import numpy as np
import pandas as pd

# orders, order value, products per order, units per product, weekend share, evening share, taste
GROUPS = (
    (20, 25.0, 3, 1, 0.1, 0.1, "tea"),
    (4, 400.0, 12, 10, 0.0, 0.0, "toys"),
    (8, 60.0, 5, 2, 0.9, 0.2, "garden"),
    (6, 60.0, 5, 2, 0.2, 0.9, "books"),
)


def planted(each: int = 150, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return features, categories and the planted group of each customer. The same seed gives the same rows."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(GROUPS)), each)
    customer = np.array([f"c{number:05d}" for number in rng.permutation(len(group))])
    orders, value, products, units, weekend, evening, taste = (
        np.array(v)[group] for v in zip(*GROUPS, strict=True)
    )
    n = np.maximum(rng.poisson(orders), 1)
    gross = n * value * rng.lognormal(0, 0.3, len(group))
    lines = np.maximum(rng.poisson(n * products), 1)
    features = pd.DataFrame(
        {
            "customer_id": customer,
            "orders": n,
            "gross_revenue": gross,
            "net_revenue": gross * 0.95,
            "units": lines * units,
            "distinct_products": lines,
            "return_rate": rng.beta(1, 20, len(group)),
            "weekend_order_share": rng.binomial(n, weekend) / n,
            "evening_order_share": rng.binomial(n, evening) / n,
            "visits": 0,
        }
    )
    own = rng.beta(8, 2, len(group))
    others = np.array(["tea", "toys", "garden", "books"])
    rest = pd.DataFrame({"customer_id": np.repeat(customer, 4), "category": np.tile(others, len(group))})
    rest["gross_revenue"] = np.repeat(gross * (1 - own) / 4, 4)
    main = pd.DataFrame({"customer_id": customer, "category": taste, "gross_revenue": gross * own})
    categories = pd.concat([rest, main]).groupby(["customer_id", "category"], as_index=False).sum()
    return features, categories, pd.Series(group, index=customer).sort_index()
