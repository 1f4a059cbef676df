"""Which habits personas are made of, and how they are brought to one scale. Pure: frames in and out.

Habits, not states: how recently somebody bought is the lifecycle stage's matter and would move people from
persona to persona by time passing alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import skew

# A share counted over few orders says little: each customer is given this many orders of the shop's own
# share (a beta-binomial prior; Gelman et al., Bayesian Data Analysis, ch. 5).
PRIOR_ORDERS = 3.0
MAX_CATEGORIES = 12
_CLIP = 3.0  # a scaled value beyond this counts as this: one bulk buyer is no persona
_SKEWED = 1.0  # skewness from which a habit is taken as its logarithm
CATEGORY = "category: "

# habit -> what a persona high and low in it is called
WORDS = {
    "orders": ("frequent", "rare"),
    "order_value": ("big baskets", "small baskets"),
    "products_per_order": ("many products", "few products"),
    "units_per_product": ("bulk", "single pieces"),
    "return_share": ("many returns", "few returns"),
    "weekend_share": ("weekend", "weekdays"),
    "evening_share": ("evening", "daytime"),
    "visits_per_order": ("much looking", "little looking"),
}


def words(habit: str) -> tuple[str, str]:
    """What a persona high and low in a habit is called."""
    name = habit.removeprefix(CATEGORY)
    return WORDS.get(habit, (name, f"little {name}"))


def habits(
    customers: pd.DataFrame, categories: pd.DataFrame, chosen: Sequence[str] | None = None
) -> pd.DataFrame:
    """One row for each customer with an order, by customer_id in order; one column for each habit.

    `customers` are rows of core.customer_features, `categories` of core.customer_categories (customer_id,
    category, gross_revenue); both of one as_of, in any order. `chosen` are the habits of a trained model; without
    it the MAX_CATEGORIES categories of the greatest revenue come along. Shares are drawn towards the shop's by
    PRIOR_ORDERS; the rest is per order, in units of money or pieces. No value is missing.
    """
    known = customers[customers["orders"] > 0].set_index("customer_id").sort_index()
    known = known.drop(columns="as_of", errors="ignore").apply(pd.to_numeric, errors="coerce").fillna(0.0)
    orders = known["orders"].to_numpy(dtype=float)
    lines = np.maximum(known["distinct_products"].to_numpy(dtype=float), 1.0)
    returned = known["return_rate"].clip(0, 1)
    columns = {
        "orders": orders,
        "order_value": np.maximum(known["gross_revenue"].to_numpy(dtype=float), 0) / orders,
        "products_per_order": lines / orders,
        "units_per_product": np.maximum(known["units"].to_numpy(dtype=float), 0) / lines,
        "return_share": _drawn(returned, orders),
        "weekend_share": _drawn(known["weekend_order_share"], orders),
        "evening_share": _drawn(known["evening_order_share"], orders),
        "visits_per_order": known["visits"].to_numpy(dtype=float) / orders,
    }
    frame = pd.DataFrame(columns, index=known.index)
    shares = _category_shares(categories, frame.index, chosen)
    for name in shares:
        frame[f"{CATEGORY}{name}"] = _drawn(shares[name], orders)
    return frame[list(chosen)] if chosen is not None else frame


def _drawn(share: pd.Series, orders: np.ndarray) -> np.ndarray:
    values = share.to_numpy(dtype=float)
    # Sums in order of customer_id: the same to the last bit for rows in any order.
    shop = float((values * orders).sum() / orders.sum()) if len(orders) else 0.0
    return (values * orders + shop * PRIOR_ORDERS) / (orders + PRIOR_ORDERS)


def _category_shares(
    categories: pd.DataFrame, customers: pd.Index, chosen: Sequence[str] | None
) -> pd.DataFrame:
    bought = categories[["customer_id", "category", "gross_revenue"]].astype({"gross_revenue": float})
    bought = bought.sort_values(["customer_id", "category"])
    if chosen is None:
        totals = bought.groupby("category")["gross_revenue"].sum().sort_values(ascending=False, kind="stable")
        names = sorted(totals.index[:MAX_CATEGORIES])
    else:
        names = [name.removeprefix(CATEGORY) for name in chosen if name.startswith(CATEGORY)]
    wide = bought.pivot_table(index="customer_id", columns="category", values="gross_revenue", aggfunc="sum")
    total = wide.sum(axis=1)
    shares = wide.div(total.where(total > 0), axis=0)
    return shares.reindex(index=customers, columns=names).fillna(0.0)


@dataclass(frozen=True)
class Scaling:
    """How habits become comparable: logarithm where skewed, (value - centre) / scale, clipped at +-3."""

    habits: list[str]
    logged: list[bool]
    centre: list[float]
    scale: list[float]

    def apply(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows of `habits` in scaled units, shape (customers, habits)."""
        values = self.logarithms(frame)
        return np.clip((values - np.array(self.centre)) / np.array(self.scale), -_CLIP, _CLIP)

    def logarithms(self, frame: pd.DataFrame) -> np.ndarray:
        """The habits' values, log(1 + x) where skewed; shape (customers, habits)."""
        values = frame[self.habits].to_numpy(dtype=float)
        return np.where(np.array(self.logged), np.log1p(np.maximum(values, 0)), values)


def fit_scaling(frame: pd.DataFrame) -> tuple[Scaling, list[str]]:
    """Scaling by median and interquartile range (the standard deviation where that is 0).

    Returns it with the habits that are left out because all customers are alike in them.
    """
    values = frame.to_numpy(dtype=float)
    spread = values.std(axis=0)
    kept = spread > 1e-12 * np.maximum(np.abs(values).mean(axis=0), 1e-300)
    left_out = [name for name, keep in zip(frame.columns, kept, strict=True) if not keep]
    if not kept.any():  # nobody differs: one persona in the middle of all habits
        alike = np.zeros(len(kept), dtype=bool)
        return Scaling(
            list(frame.columns), alike.tolist(), values.mean(axis=0).tolist(), [1.0] * len(kept)
        ), left_out
    values = values[:, kept]
    logged = skew(values, axis=0) > _SKEWED
    values = np.where(logged, np.log1p(np.maximum(values, 0)), values)
    low, centre, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    deviation = values.std(axis=0)
    # 1.349 interquartile ranges are one standard deviation of a normal distribution. A range far below the
    # deviation is that of a habit most people do not have at all, and would blow it up.
    scale = np.maximum((high - low) / 1.349, deviation / 2)
    names = [name for name, keep in zip(frame.columns, kept, strict=True) if keep]
    return Scaling(names, logged.tolist(), centre.tolist(), scale.tolist()), left_out
