"""What the ranker sees of a pair of a customer and a product, as of an instant.

Belongs here: candidate pairs and their features. Does not: learning from them (`ranking`).

Everything is computed from `Interactions`, which hold only days before as_of; a feature cannot look ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clm_dagster.recommend.candidates import Popularity, Recommender
from clm_dagster.recommend.interactions import Interactions, Ints
from clm_dagster.recommend.similarity import Scores, top

YEAR = 364  # whole weeks, so that the same weekdays meet
HALF_LIVES = (20.0, 60.0, 180.0)


@dataclass
class PairFeatures:
    """Fitted recommenders and tables of one as_of, from which blocks of pairs are made.

    recommenders: fitted here, each gives `per_recommender` products and its score as a feature. horizon_days: how
    far ahead the label looks, which sets the season's window. active_days: a product without a sale for longer
    is discontinued and never a candidate.
    """

    recommenders: Sequence[Recommender]
    horizon_days: int
    active_days: int = 90
    per_recommender: int = 60

    def fit(self, past: Interactions) -> "PairFeatures":
        """Fit the recommenders and tables on purchases before past.as_of."""
        self.past = past
        self.active = past.sold_within(self.active_days)
        self.popular = Popularity().fit(past)
        for recommender in self.recommenders:
            recommender.fit(past)
        self.pair = {f"own_{h:g}": past.decayed(h) for h in HALF_LIVES} | {
            "own_days": past.decayed(),
            "own_units": past.decayed(180.0, log_quantity=True),
            "own_last": past.latest(),
            "own_first": past.earliest(),
            # What he bought in the season that the label covers, a year ago.
            "own_season": past.matrix(
                ((past.age > YEAR - self.horizon_days) & (past.age <= YEAR + 14)).astype(float)
            ),
        }
        self.product = _product_table(past, self.horizon_days)
        self.customer = _customer_table(past)
        return self

    def block(self, rows: Ints) -> tuple[Ints, Ints, pd.DataFrame]:
        """Candidates of b customers: n places in `rows`, n products, both sorted, and n rows of features."""
        scores = {r.name: r.score(rows) for r in self.recommenders}
        scores["popularity"] = self.popular.score(rows)
        place, product = self._union(scores, rows)
        x = {f"score_{name}": values[place, product] for name, values in scores.items()}
        for name, matrix in self.pair.items():
            x[name] = _cells(matrix, rows, place, product)
        frame = pd.DataFrame(x)
        frame[["own_last", "own_first"]] = frame[["own_last", "own_first"]].where(frame["own_days"] > 0)
        frame = frame.join(self.customer.iloc[rows[place]].reset_index(drop=True))
        frame = frame.join(self.product.iloc[product].reset_index(drop=True))
        return place, product, _ratios(frame, place, len(rows))

    def _union(self, scores: dict[str, Scores], rows: Ints) -> tuple[Ints, Ints]:
        chosen = np.zeros((len(rows), self.past.shape[1]), dtype=bool)
        own = self.pair["own_days"][rows].toarray() > 0
        for values in scores.values():
            allowed = np.where(self.active, values, 0)
            # Half from what he has not bought, so that the list of discoveries is long enough for everyone.
            for kind in (allowed, np.where(own, 0, allowed)):
                row, column, _ = top(kind, self.per_recommender)
                chosen[row, column] = True
        place, product = np.nonzero(chosen)
        return place, product


def _cells(matrix: sparse.csr_array, rows: Ints, place: Ints, product: Ints) -> NDArray[np.float32]:
    return matrix[rows].astype(np.float32).toarray()[place, product]


def _product_table(past: Interactions, horizon_days: int) -> pd.DataFrame:
    """Per product: sales of several windows, their trend, the season of last year, and how often buyers return."""
    count = past.shape[1]

    def sales(low: float, high: float) -> NDArray[np.float64]:
        inside = (past.age > low) & (past.age <= high)
        return np.bincount(past.product[inside], minlength=count).astype(float)

    first = np.zeros(count)
    np.maximum.at(first, past.product, past.age)
    last = np.full(count, np.inf)
    np.minimum.at(last, past.product, past.age)
    days = past.decayed()
    buyers = np.bincount(days.indices, minlength=count)
    again = np.bincount(days.indices[days.data > 1], minlength=count)
    month, quarter = sales(0, 28), sales(0, 84)
    before = sales(28, 56)
    ahead, behind = sales(YEAR - horizon_days, YEAR), sales(YEAR, YEAR + 56)
    seen = first > YEAR
    return pd.DataFrame(
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
            "product_units": np.bincount(past.product, np.log1p(past.quantity), count) / sales(0, np.inf),
        }
    ).astype(np.float32)  # fmt: skip


def _customer_table(past: Interactions) -> pd.DataFrame:
    """Per customer: rhythm, breadth, and the share of purchases that were repeats."""
    count = past.shape[0]
    order_day = pd.DataFrame({"customer": past.customer, "age": past.age}).drop_duplicates()
    by = order_day.groupby("customer")["age"]
    orders = by.size().reindex(range(count), fill_value=0).to_numpy(float)
    last, first = by.min().to_numpy(float), by.max().to_numpy(float)
    lines = np.bincount(past.customer, minlength=count)
    width = np.diff(past.decayed().indptr)
    return pd.DataFrame(
        {
            "customer_orders": orders,
            "customer_orders_90d": np.bincount(order_day.loc[order_day["age"] <= 90, "customer"], minlength=count),
            "customer_last": last,
            "customer_tenure": first,
            "customer_gap": np.where(orders > 1, (first - last) / np.maximum(orders - 1, 1), np.nan),
            "customer_products": width,
            "customer_basket": lines / orders,
            "customer_repeats": 1 - width / lines,
        }
    ).astype(np.float32)  # fmt: skip


def _ratios(x: pd.DataFrame, place: Ints, count: int) -> pd.DataFrame:
    """Pair against customer and product: how overdue, how often among his orders, where among his candidates."""
    gap = (x["own_first"] - x["own_last"]) / (x["own_days"] - 1).where(x["own_days"] > 1)
    x["own_gap"] = gap
    x["own_overdue"] = x["own_last"] / gap.clip(lower=1)
    x["own_share"] = x["own_days"] / x["customer_orders"]
    x["own_since_last"] = x["own_last"] - x["customer_last"]
    x["customer_overdue"] = x["customer_last"] / x["customer_gap"].clip(lower=1)
    x["product_share"] = np.log((x["product_28d"] + 1) / (x["product_364d"] + 13))
    for name in [str(c) for c in x if str(c).startswith("score_")]:
        x[f"rank_{name[6:]}"] = _ranks(x[name].to_numpy(), place)
    return x.astype(np.float32)


def _ranks(values: NDArray[np.float32], place: Ints) -> NDArray[np.float32]:
    """Rank of each candidate among its customer's, from 0, equal values alike."""
    if not len(values):
        return values
    order = np.lexsort((-values, place))
    v, p = values[order], place[order]
    new = np.concatenate([[True], (np.diff(v) != 0) | (np.diff(p) != 0)])
    position = np.maximum.accumulate(np.where(new, np.arange(len(v)), 0)) - np.searchsorted(p, p)
    out = np.empty(len(values), dtype=np.float32)
    out[order] = position
    return out
