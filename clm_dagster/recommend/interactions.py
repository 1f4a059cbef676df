"""Who bought what and when, as sparse matrices: the one input of every recommender.

Belongs here: from purchase lines to numbered customers and products, decay, filters by time.
Does not: any score (`candidates`), any label (`metrics`).

Ids are numbered in sorted order and lines are added up to one row for each customer, product and day, in that
order, so that neither the order of the rows nor of the lines in an order can change a result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS = ("customer_id", "product_id", "day", "quantity", "order_id")


class InteractionError(ValueError):
    """Purchase lines from which nothing can be learnt; says what is wrong with them."""


@dataclass(frozen=True)
class Interactions:
    """Purchases strictly before `as_of`: n rows, one for each customer, product and day.

    customers, products: the sorted ids. customer, product: n numbers into them, rows sorted by both and day.
    age: days from the purchase to as_of, at least 1. quantity: units. baskets: number of distinct orders.
    """

    as_of: date
    customers: NDArray[np.object_]
    products: NDArray[np.object_]
    customer: Ints
    product: Ints
    age: Floats
    quantity: Floats
    baskets: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of customers and of products."""
        return len(self.customers), len(self.products)

    def decayed(self, half_life: float | None = None, *, log_quantity: bool = False) -> sparse.csr_array:
        """Customers x products: days of purchase, each worth 2^(-age / half_life).

        half_life: in days, None for no decay. log_quantity: a day counts ln(1 + units) instead of 1.
        """
        weight = np.ones(len(self.age)) if half_life is None else np.exp2(-self.age / half_life)
        return self.matrix(weight * np.log1p(self.quantity) if log_quantity else weight)

    def matrix(self, values: Floats) -> sparse.csr_array:
        """Customers x products: the sum of n values over each pair."""
        starts = self.pair_starts
        sums = np.add.reduceat(values, starts) if len(starts) else np.zeros(0)
        return self._csr(sums)

    def latest(self) -> sparse.csr_array:
        """Customers x products: days since the pair's last purchase."""
        return self._csr(np.minimum.reduceat(self.age, self.pair_starts) if len(self.age) else np.zeros(0))

    def earliest(self) -> sparse.csr_array:
        """Customers x products: days since the pair's first purchase."""
        return self._csr(np.maximum.reduceat(self.age, self.pair_starts) if len(self.age) else np.zeros(0))

    @cached_property
    def pair_starts(self) -> Ints:
        """The first row of each pair of a customer and a product."""
        if not len(self.age):
            return np.zeros(0, dtype=np.int64)
        new = (np.diff(self.customer) != 0) | (np.diff(self.product) != 0)
        return np.flatnonzero(np.concatenate([[True], new]))

    def sold_within(self, days: int) -> NDArray[np.bool_]:
        """Which products had a purchase in the last `days` days; the others count as discontinued."""
        return np.bincount(self.product[self.age <= days], minlength=len(self.products)) > 0

    def rows_of(self, customer_ids: Sequence[str] | NDArray[np.object_]) -> Ints:
        """The numbers of customers by their ids, -1 for those who never bought."""
        return _positions(self.customers, customer_ids)

    def columns_of(self, product_ids: Sequence[str] | NDArray[np.object_]) -> Ints:
        """The numbers of products by their ids, -1 for those never sold."""
        return _positions(self.products, product_ids)

    def _csr(self, values: Floats) -> sparse.csr_array:
        starts = self.pair_starts
        pointers = np.searchsorted(self.customer[starts], np.arange(len(self.customers) + 1))
        parts = (values, self.product[starts].astype(np.int32), pointers.astype(np.int32))
        return sparse.csr_array(parts, shape=self.shape)


def interactions(lines: pd.DataFrame, as_of: date) -> Interactions:
    """The purchases of `lines` on days before `as_of`.

    lines: customer_id, product_id, day (a date or an instant), quantity (> 0 units), order_id; guests, whose
    customer_id is missing, are left out. Raises InteractionError where a column or a day is missing, where a
    quantity is not above zero, and where no purchase comes before as_of.
    """
    missing = [name for name in COLUMNS if name not in lines]
    if missing:
        raise InteractionError(f"purchase lines lack {', '.join(missing)}; expected {', '.join(COLUMNS)}")
    days = pd.to_datetime(lines["day"])
    if days.isna().any():
        raise InteractionError(f"{int(days.isna().sum())} purchase lines have no day; every line needs one")
    known = lines.assign(day=days.dt.normalize())[(days < pd.Timestamp(as_of)) & lines["customer_id"].notna()]
    known = known[known["product_id"].notna()]
    wrong = known["quantity"].isna() | (known["quantity"] <= 0)
    if wrong.any():
        row = known[wrong].sort_values(["order_id", "product_id"]).iloc[0]
        raise InteractionError(
            f"{int(wrong.sum())} purchase lines have a quantity that is not above 0, first {row['quantity']} of "
            f"{row['product_id']} in order {row['order_id']}; leave out returns"
        )
    if known.empty:
        raise InteractionError(f"no customer bought anything before {as_of}; choose a later as_of")
    return _numbered(known, as_of)


def _numbered(known: pd.DataFrame, as_of: date) -> Interactions:
    customer, customers = pd.factorize(known["customer_id"].astype(str), sort=True)
    product, products = pd.factorize(known["product_id"].astype(str), sort=True)
    age = (pd.Timestamp(as_of) - known["day"]).dt.days.to_numpy()
    quantity = known["quantity"].to_numpy(float)
    # Quantities too, since a sum of fractions depends on their order in its last digit.
    order = np.lexsort((quantity, -age, product, customer))
    customer, product, age, quantity = customer[order], product[order], age[order], quantity[order]
    new = (np.diff(customer) != 0) | (np.diff(product) != 0) | (np.diff(age) != 0)
    starts = np.flatnonzero(np.concatenate([[True], new]))
    return Interactions(
        as_of=as_of,
        customers=np.asarray(customers, dtype=object),
        products=np.asarray(products, dtype=object),
        customer=customer[starts].astype(np.int64),
        product=product[starts].astype(np.int64),
        age=age[starts].astype(float),
        quantity=np.add.reduceat(quantity, starts),
        baskets=int(known["order_id"].nunique()),
    )


def _positions(ids: NDArray[np.object_], wanted: Sequence[str] | NDArray[np.object_]) -> Ints:
    return pd.Index(ids).get_indexer(pd.Index(np.asarray(wanted, dtype=object))).astype(np.int64)
