"""Features of pairs of a customer and a product, as of an instant: the input of the ranker.

Belongs here: candidate pairs and their features. Does not: the models (`ranking`).

All features come from `Interactions`, which hold only days before as_of, so there is no look-ahead. Features of
customers are computed for a block of customers, not stored for all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.recommend.candidates import Popularity, Recommender
from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.pairs import FeatureTable, Pairs
from clm_dagster.domains.recommend.similarity import Scores, best_first, top

YEAR = 364  # whole weeks, so that weekdays match
HALF_LIVES = (20.0, 60.0, 180.0)


@dataclass
class PairFeatures:
    """Fitted recommenders and product features of one as_of, which yield blocks of pairs.

    recommenders: fitted here; each contributes `per_recommender` products, and its score as a feature. horizon_days:
    of the label; it sets the window of seasonal features. active_days: a product without a sale for longer is
    discontinued and never a candidate.
    """

    recommenders: Sequence[Recommender]
    horizon_days: int
    active_days: int = 90
    per_recommender: int = 60

    def fit(self, past: Interactions) -> "PairFeatures":
        """Fit the recommenders and compute product features on purchases before past.as_of."""
        self.past = past
        self.active = past.sold_within(self.active_days).astype(np.float32)
        self.popular = Popularity().fit(past)
        for recommender in self.recommenders:
            recommender.fit(past)
        self.product = _product_table(past, self.horizon_days)
        return self

    def block(self, rows: Ints) -> Pairs:
        """Return the candidate pairs of the customers `rows` with their features."""
        scores = {r.name: r.score(rows) for r in self.recommenders}
        scores["popularity"] = self.popular.score(rows)
        some = self.past.of(rows)
        bought = _bought_cells(some)
        cells = _union(scores, self.active, bought, self.per_recommender)
        place, product = np.divmod(cells, len(self.active))
        x = {f"score_{name}": values.ravel()[cells] for name, values in scores.items()}
        x |= {f"rank_{name}": _ranks(x[f"score_{name}"], place) for name in scores}
        customers = _customer_table(some)
        own, of_pair = _own(some, bought, cells, customers, self.horizon_days)
        return Pairs(
            place,
            product,
            of_pair == len(own) - 1,
            [
                FeatureTable(pd.DataFrame(x)),
                FeatureTable(own, of_pair),
                FeatureTable(customers, place),
                FeatureTable(self.product, product),
            ],
        )


def _bought_cells(some: Interactions) -> Ints:
    """Return the pairs that customers have bought, as customer x products + product, sorted."""
    starts = some.pair_starts
    cells: Ints = some.customer[starts].astype(np.int64) * some.shape[1] + some.product[starts]
    return cells


def _union(scores: Mapping[str, Scores], active: Scores, bought: Ints, count: int) -> Ints:
    """Return candidate pairs as place x products + product, sorted.

    Each recommender contributes its best `count` among all products, and its best `count` among those that the
    customer has not bought, so that the list discover is long enough. bought: result of `_bought_cells`.
    """
    count_customers, width = next(iter(scores.values())).shape
    is_candidate = np.zeros(count_customers * width, dtype=bool)
    for values in scores.values():
        sold = values * active
        cells = sold.ravel()
        own = bought[cells[bought] > 0]
        of_own = cells[own]
        cells[bought] = 0
        place, product, score = top(sold, count)
        is_candidate[place * width + product] = True
        # The best of all products are the best of both: the best new ones, and those bought.
        own_place, own_product = np.divmod(own, width)
        both = (np.append(place, own_place), np.append(product, own_product), np.append(score, of_own))
        place, product, _ = best_first(*both, count)
        is_candidate[place * width + product] = True
    return np.flatnonzero(is_candidate)


def _own(
    some: Interactions, bought: Ints, cells: Ints, customers: pd.DataFrame, horizon_days: int
) -> tuple[pd.DataFrame, Ints]:
    """Return features of the customer's own purchases of a product, and their row for each pair.

    The last row is that of products which the customer has not bought.

    bought: result of `_bought_cells`. cells: result of `_union`. customers: result of `_customer_table`.
    """
    tables = {f"own_{h:g}": some.decayed(h) for h in HALF_LIVES} | {
        "own_days": some.decayed(),
        "own_units": some.decayed(180.0, log_quantity=True),
        "own_last": some.latest(),
        "own_first": some.earliest(),
        # Purchases a year ago, in the season that the label covers.
        "own_season": some.matrix(((some.age > YEAR - horizon_days) & (some.age <= YEAR + 14)).astype(float)),
    }
    where = np.searchsorted(cells, bought)
    kept = np.append(cells, -1)[where] == bought
    x = pd.DataFrame(
        {
            name: np.append(table.data[kept], np.nan if name in ("own_last", "own_first") else 0)
            for name, table in tables.items()
        }
    ).astype(np.float32)
    # Any customer serves for the last row, whose ratios are zero or missing.
    who = customers.iloc[np.append(bought[kept] // some.shape[1], 0)].reset_index(drop=True)
    gap = (x["own_first"] - x["own_last"]) / (x["own_days"] - 1).where(x["own_days"] > 1)
    x["own_gap"] = gap
    x["own_overdue"] = x["own_last"] / gap.clip(lower=1)
    x["own_share"] = x["own_days"] / who["customer_orders"]
    x["own_since_last"] = x["own_last"] - who["customer_last"]
    row = np.full(len(cells), len(x) - 1)
    row[where[kept]] = np.arange(len(x) - 1)
    return x, row


def _product_table(past: Interactions, horizon_days: int) -> pd.DataFrame:
    """Return features per product: sales in several windows, trend, last year's season, repeat rate."""
    count = past.shape[1]

    def sales(low: float, high: float) -> NDArray[np.float64]:
        inside = (past.age > low) & (past.age <= high)
        return np.bincount(past.product[inside], minlength=count).astype(float)

    ages = pd.Series(past.age).groupby(past.product).agg(["min", "max"]).reindex(range(count))
    first, last = ages["max"].fillna(0).to_numpy(float), ages["min"].fillna(np.inf).to_numpy(float)
    days = past.decayed()
    buyers = np.bincount(days.indices, minlength=count)
    again = np.bincount(days.indices[days.data > 1], minlength=count)
    sold = np.bincount(past.product, minlength=count)
    month, quarter = sales(0, 28), sales(0, 84)
    before = sales(28, 56)
    ahead, behind = sales(YEAR - horizon_days, YEAR), sales(YEAR, YEAR + 56)
    seen = first > YEAR
    x = pd.DataFrame(
        {
            "product_7d": sales(0, 7),
            "product_28d": month,
            "product_84d": quarter,
            "product_364d": sales(0, YEAR),
            "product_trend": np.log((month + 2) / (before + 2)),
            "product_year_ago": np.where(seen, ahead, np.nan),
            "product_season": np.where(seen, np.log((ahead + 2) / (behind + 2)), np.nan),
            "product_age": first,
            "product_last": last,
            "product_repeat": (again + 1) / (buyers + 10),
            "product_units": np.bincount(past.product, np.log1p(past.quantity), count) / sold,
        }
    ).astype(np.float32)
    x["product_share"] = np.log((x["product_28d"] + 1) / (x["product_364d"] + 13))
    return x


def _customer_table(past: Interactions) -> pd.DataFrame:
    """Return features per customer: order frequency, number of products, and the share of repeat purchases."""
    count = past.shape[0]
    order_day = pd.DataFrame({"customer": past.customer, "age": past.age}).drop_duplicates()
    by = order_day.groupby("customer")["age"]
    orders = by.size().reindex(range(count), fill_value=0).to_numpy(float)
    last, first = by.min().to_numpy(float), by.max().to_numpy(float)
    lines = np.bincount(past.customer, minlength=count)
    width = np.diff(past.decayed().indptr)
    x = pd.DataFrame(
        {
            "customer_orders": orders,
            "customer_orders_90d": np.bincount(
                order_day.loc[order_day["age"] <= 90, "customer"], minlength=count
            ),
            "customer_last": last,
            "customer_tenure": first,
            "customer_gap": np.where(orders > 1, (first - last) / np.maximum(orders - 1, 1), np.nan),
            "customer_products": width,
            "customer_basket": lines / orders,
            "customer_repeats": 1 - width / lines,
        }
    ).astype(np.float32)
    x["customer_overdue"] = x["customer_last"] / x["customer_gap"].clip(lower=1)
    return x


def _ranks(values: NDArray[np.float32], place: Ints) -> NDArray[np.float32]:
    """Return the rank of each candidate within its customer, from 0; equal values have the same rank.

    values: scores, at least 0.
    """
    if not len(values):
        return values
    # One whole number for each pair sorts faster than two columns: the customer, then the falling score. The bits of
    # floats from zero on are in the order of the floats; adding zero turns -0 to 0.
    falling = np.int64(2**31) - (values + np.float32(0)).view(np.int32)
    keys = (place << 32) + falling
    order = np.argsort(keys)
    keys = keys[order]
    new = np.concatenate([[True], keys[1:] != keys[:-1]])
    p = place[order]
    position = np.maximum.accumulate(np.where(new, np.arange(len(p)), 0)) - np.searchsorted(p, p)
    out = np.empty(len(values), dtype=np.float32)
    out[order] = position
    return out
