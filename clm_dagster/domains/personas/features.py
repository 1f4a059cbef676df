"""Habits: the features of personas, and their scaling.

Belongs here: pure functions, frames in and out. Does not belong here: the persona model (`model`), recency. Recency
belongs to lifecycle stages; it would move customers between personas as time passes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

# A share over few orders is noisy. Each customer's share gets a prior of this many orders with the shop's share
# (beta-binomial; Gelman et al., Bayesian Data Analysis, ch. 5).
PRIOR_ORDERS = 3.0
MAX_CATEGORIES = 12
_CLIP = 3.0  # scaled values are clipped here, so that a single bulk buyer does not become a persona
_SKEWED = 1.0  # skewness from which a habit is log-transformed
CATEGORY = "category: "
_SHARES = ("return_share", "weekend_share", "evening_share")

# habit -> label of a persona with a high and with a low value
WORDS = {
    "orders": ("frequent orders", "rare orders"),
    "order_value": ("large baskets", "small baskets"),
    "products_per_order": ("many products", "few products"),
    "units_per_product": ("bulk quantities", "single pieces"),
    "return_share": ("many returns", "few returns"),
    "weekend_share": ("weekends", "weekdays"),
    "evening_share": ("evenings", "daytime"),
    "visits_per_order": ("much browsing", "little browsing"),
}
# Words that name no category by themselves, as in `category_12`.
_GENERIC = {"cat", "category", "class", "department", "dept", "group", "kategorie", "product", "type"}


def words(habit: str) -> tuple[str, str] | None:
    """Return the labels of a persona with a high and with a low value of a habit; None for the code of a category."""
    if habit in WORDS:
        return WORDS[habit]
    name = _readable(habit.removeprefix(CATEGORY))
    return None if name is None else (name, f"little {name}")


def _readable(category: str) -> str | None:
    """Return the name of a category as words, or None if it is a code such as `10-250`, `A7F` or `category_12`."""
    name = re.sub(r"[\s._/>|-]+", " ", category).strip()
    found = [word for word in re.findall(r"[^\W\d_]+", name) if word.lower() not in _GENERIC]
    longest = max(map(len, found), default=0)
    has_digits = any(character.isdigit() for character in name)
    # Short words are common in plain names (tea), but beside digits they are mostly prefixes of codes (SKU7).
    is_word = longest >= (4 if has_digits else 3) or any(not word.isascii() for word in found)
    return name if is_word else None


def habits(
    customers: pd.DataFrame, categories: pd.DataFrame, chosen: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return one row for each customer with an order, sorted by customer_id, with one column for each habit.

    customers: rows of core.customer_features. categories: rows of core.customer_categories (customer_id, category,
    gross_revenue). Both are of one as_of, in any order. chosen: the habits of a trained model; None for all habits and
    the MAX_CATEGORIES categories with the highest revenue. Shares are shrunk towards the shop's with PRIOR_ORDERS. The
    other habits are per order, in money or pieces. No value is missing.
    """
    own = own_habits(customers, categories, chosen)
    orders = own["orders"].to_numpy(dtype=float)
    found = shrunk(own, {name: shop_share(own[name].to_numpy(float), orders) for name in shares_of(own)})
    return found[list(chosen)] if chosen is not None else found


def own_habits(
    customers: pd.DataFrame, categories: pd.DataFrame, chosen: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the habits of customers with their own shares, which are not shrunk yet. A row depends on no other one.

    Arguments as in `habits`, except that chosen habits come together with all others that are no categories.
    """
    known = customers[customers["orders"] > 0].set_index("customer_id").sort_index()
    known = known.drop(columns="as_of", errors="ignore").apply(pd.to_numeric, errors="coerce").fillna(0.0)
    orders = known["orders"].to_numpy(dtype=float)
    lines = np.maximum(known["distinct_products"].to_numpy(dtype=float), 1.0)
    columns = {
        "orders": orders,
        "order_value": np.maximum(known["gross_revenue"].to_numpy(dtype=float), 0) / orders,
        "products_per_order": lines / orders,
        "units_per_product": np.maximum(known["units"].to_numpy(dtype=float), 0) / lines,
        "return_share": known["return_rate"].clip(0, 1).to_numpy(dtype=float),
        "weekend_share": known["weekend_order_share"].to_numpy(dtype=float),
        "evening_share": known["evening_order_share"].to_numpy(dtype=float),
        "visits_per_order": known["visits"].to_numpy(dtype=float) / orders,
    }
    frame = pd.DataFrame(columns, index=known.index)
    shares = _category_shares(categories, frame.index, chosen)
    return frame.join(shares.add_prefix(CATEGORY))


def shares_of(own: pd.DataFrame) -> list[str]:
    """Return the columns of `own_habits` that are shares."""
    return [str(name) for name in own if name in _SHARES or str(name).startswith(CATEGORY)]


def shop_share(values: np.ndarray, orders: np.ndarray) -> float:
    """Return the shop's share. values, orders: of all customers, sorted by customer_id."""
    # Rows are sorted by customer_id, so the sum is identical to the last bit for any input order.
    return float((values * orders).sum() / orders.sum()) if len(orders) else 0.0


def shrunk(own: pd.DataFrame, shop: Mapping[str, float]) -> pd.DataFrame:
    """Return the habits of customers, their shares shrunk towards the shop's. own: the result of `own_habits`."""
    orders = own["orders"].to_numpy(dtype=float)
    return own.assign(
        **{
            name: (own[name].to_numpy(dtype=float) * orders + share * PRIOR_ORDERS) / (orders + PRIOR_ORDERS)
            for name, share in shop.items()
        }
    )


def _category_shares(
    categories: pd.DataFrame, customers: pd.Index, chosen: Sequence[str] | None
) -> pd.DataFrame:
    bought = categories[["customer_id", "category", "gross_revenue"]].astype({"gross_revenue": float})
    bought = bought.dropna(subset="category").sort_values(["customer_id", "category"])
    if chosen is None:
        totals = bought.groupby("category")["gross_revenue"].sum().sort_values(ascending=False, kind="stable")
        names = sorted(totals.index[:MAX_CATEGORIES])
    else:
        names = [name.removeprefix(CATEGORY) for name in chosen if name.startswith(CATEGORY)]
    # Each customer's rows are added up by themselves, so that a sum does not depend on who else is in the frame.
    total = bought.groupby("customer_id")["gross_revenue"].sum()
    named = bought[bought["category"].isin(names)]
    wide = named.pivot_table(index="customer_id", columns="category", values="gross_revenue", aggfunc="sum")
    shares = wide.div(total.where(total > 0), axis=0)
    return shares.reindex(index=customers, columns=names).fillna(0.0).astype(float)


@dataclass(frozen=True)
class Scaling:
    """Scaling of habits: logarithm of skewed ones, then (value - centre) / scale, clipped at +-3."""

    habits: list[str]
    logged: list[bool]
    centre: list[float]
    scale: list[float]

    def apply(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the scaled habits, shape (customers, habits)."""
        values = self.logarithms(frame)
        scaled: np.ndarray = np.clip((values - np.array(self.centre)) / np.array(self.scale), -_CLIP, _CLIP)
        return scaled

    def logarithms(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the habits, as log(1 + x) where skewed, shape (customers, habits)."""
        values = frame[self.habits].to_numpy(dtype=float)
        return np.where(np.array(self.logged), np.log1p(np.maximum(values, 0)), values)


def fit_scaling(frame: pd.DataFrame) -> tuple[Scaling, list[str]]:
    """Fit the scaling by median and interquartile range, at least half of the standard deviation.

    Return it with the names of the habits that are left out because they are constant.
    """
    from scipy.stats import skew

    values = frame.to_numpy(dtype=float)
    spread = values.std(axis=0)
    kept = spread > 1e-12 * np.maximum(np.abs(values).mean(axis=0), 1e-300)
    left_out = [name for name, keep in zip(frame.columns, kept, strict=True) if not keep]
    if not kept.any():  # all customers are identical: one persona at the mean of all habits
        logged = np.zeros(len(kept), dtype=bool)
        return Scaling(
            list(frame.columns), logged.tolist(), values.mean(axis=0).tolist(), [1.0] * len(kept)
        ), left_out
    values = values[:, kept]
    logged = skew(values, axis=0) > _SKEWED
    values = np.where(logged, np.log1p(np.maximum(values, 0)), values)
    low, centre, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    deviation = values.std(axis=0)
    # For a normal distribution the interquartile range is 1.349 standard deviations. A range far below the standard
    # deviation belongs to a habit that most customers do not have, and would inflate it.
    scale = np.maximum((high - low) / 1.349, deviation / 2)
    names = [name for name, keep in zip(frame.columns, kept, strict=True) if keep]
    return Scaling(names, logged.tolist(), centre.tolist(), scale.tolist()), left_out
