"""Interactions: customers, products and days of purchases as sparse matrices, the input of every recommender.

Belongs here: numbering customers and products, decay, earlier instants, blocks of customers. Does not: scores
(`candidates`), labels (`metrics`).

Ids are numbered in sorted order. Lines are summed to one row for each customer, product and day, in that order. So
the order of the input rows cannot change a result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = NDArray[np.int32]

COLUMNS = ("customer_id", "product_id", "day", "quantity", "order_id")


class InteractionError(ValueError):
    """Purchase lines are invalid or empty; the message says what is wrong."""


@dataclass(frozen=True)
class Interactions:
    """Purchases strictly before `as_of`: n rows, one for each customer, product and day.

    customers, products: the sorted ids. customer, product: n positions in them; rows are sorted by both and by day.
    age: days from the purchase to as_of, at least 1. quantity: units. A row takes 16 bytes, so twenty million rows
    take 320 MB. Matrices over all rows take a few times that; `of` restricts them to some customers.
    """

    as_of: date
    customers: NDArray[np.object_]
    products: NDArray[np.object_]
    customer: Numbers
    product: Numbers
    age: Numbers
    quantity: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of customers and number of products."""
        return len(self.customers), len(self.products)

    def decayed(self, half_life: float | None = None, *, log_quantity: bool = False) -> sparse.csr_array:
        """Return customers x products: the number of purchase days, each weighted 2^(-age / half_life).

        half_life: in days, None for no decay. log_quantity: a day counts ln(1 + units) instead of 1.
        """
        weight = np.ones(len(self.age)) if half_life is None else np.exp2(-self.age / half_life)
        return self.matrix(weight * np.log1p(self.quantity, dtype=float) if log_quantity else weight)

    def matrix(self, values: Floats) -> sparse.csr_array:
        """Return customers x products: the sum of n values over each pair."""
        return self._csr(self._over_pairs(np.add, values))

    def latest(self) -> sparse.csr_array:
        """Return customers x products: days since the last purchase of the pair."""
        return self._csr(self._over_pairs(np.minimum, self.age))

    def earliest(self) -> sparse.csr_array:
        """Return customers x products: days since the first purchase of the pair."""
        return self._csr(self._over_pairs(np.maximum, self.age))

    @cached_property
    def pair_starts(self) -> Ints:
        """First row of each pair of a customer and a product."""
        if not len(self.age):
            return np.zeros(0, dtype=np.int64)
        new = (np.diff(self.customer) != 0) | (np.diff(self.product) != 0)
        return np.flatnonzero(np.concatenate([[True], new]))

    @cached_property
    def customer_starts(self) -> Ints:
        """First row of each customer, followed by the number of rows."""
        return np.searchsorted(self.customer, np.arange(len(self.customers) + 1)).astype(np.int64)

    def of(self, rows: Ints) -> "Interactions":
        """Return the purchases of b customers, numbered from 0 in the order of `rows`; products keep their numbers."""
        first = self.customer_starts[rows]
        count = self.customer_starts[rows + 1] - first
        place = np.repeat(np.arange(len(rows), dtype=np.int32), count)
        lines = np.arange(len(place)) + np.repeat(first - (np.cumsum(count) - count), count)
        return replace(
            self,
            customers=self.customers[rows],
            customer=place,
            product=self.product[lines],
            age=self.age[lines],
            quantity=self.quantity[lines],
        )

    def before(self, day: date) -> "Interactions":
        """Return the purchases before an earlier day, equal to what `interactions` returns for that day.

        Raise InteractionError where there is no earlier purchase, and ValueError where the day is later than as_of.
        """
        gap = (self.as_of - day).days
        if gap < 0:
            raise ValueError(f"{day} is later than {self.as_of}, up to which purchases are known")
        if gap == 0:
            return self
        known = self.age > gap
        if not known.any():
            raise InteractionError(f"no customer bought anything before {day}; choose a later as_of")
        customer, customers = _renumbered(self.customer[known], self.customers)
        product, products = _renumbered(self.product[known], self.products)
        return Interactions(
            day, customers, products, customer, product, self.age[known] - np.int32(gap), self.quantity[known]
        )

    def sold_within(self, days: int) -> NDArray[np.bool_]:
        """Return which products had a purchase in the last `days` days; the others count as discontinued."""
        return np.bincount(self.product[self.age <= days], minlength=len(self.products)) > 0

    def rows_of(self, customer_ids: Sequence[str] | NDArray[np.object_]) -> Ints:
        """Return the positions of customers by their ids, -1 for customers without a purchase."""
        return _positions(self._customer_index, customer_ids)

    def columns_of(self, product_ids: Sequence[str] | NDArray[np.object_]) -> Ints:
        """Return the positions of products by their ids, -1 for products without a sale."""
        return _positions(self._product_index, product_ids)

    @cached_property
    def _customer_index(self) -> pd.Index:
        return pd.Index(self.customers)

    @cached_property
    def _product_index(self) -> pd.Index:
        return pd.Index(self.products)

    def _over_pairs(self, how: np.ufunc, values: Floats | Numbers) -> Floats:
        starts = self.pair_starts
        return how.reduceat(values, starts).astype(float) if len(starts) else np.zeros(0)

    def _csr(self, values: Floats) -> sparse.csr_array:
        starts = self.pair_starts
        pointers = np.searchsorted(starts, self.customer_starts)
        parts = (values, self.product[starts], pointers.astype(np.int32))
        return sparse.csr_array(parts, shape=self.shape)


def interactions(lines: pd.DataFrame, as_of: date) -> Interactions:
    """Return the purchases of `lines` on days before `as_of`.

    lines: customer_id, product_id, day (a date or an instant), quantity (> 0 units), order_id. Guests, whose
    customer_id is missing, are ignored. Raise InteractionError where a column or a day is missing, a quantity is not
    above zero, or there is no purchase before as_of.
    """
    missing = [name for name in COLUMNS if name not in lines]
    if missing:
        raise InteractionError(f"purchase lines lack {', '.join(missing)}; expected {', '.join(COLUMNS)}")
    days = pd.to_datetime(lines["day"])
    if days.isna().any():
        raise InteractionError(
            f"{int(days.isna().sum())} purchase lines have no day; every line must have one"
        )
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
    # Sort by quantity too, since the last digit of a sum of fractions depends on their order.
    order = np.lexsort((quantity, -age, product, customer))
    customer, product, age, quantity = customer[order], product[order], age[order], quantity[order]
    new = (np.diff(customer) != 0) | (np.diff(product) != 0) | (np.diff(age) != 0)
    starts = np.flatnonzero(np.concatenate([[True], new]))
    return Interactions(
        as_of=as_of,
        customers=np.asarray(customers, dtype=object),
        products=np.asarray(products, dtype=object),
        customer=customer[starts].astype(np.int32),
        product=product[starts].astype(np.int32),
        age=age[starts].astype(np.int32),
        quantity=np.add.reduceat(quantity, starts).astype(np.float32),
    )


def evenly_spaced(numbers: Ints, most: int) -> Ints:
    """Return the numbers, or `most` of them at even distances."""
    count = len(numbers)
    return numbers[np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))]


def _renumbered(numbers: Numbers, ids: NDArray[np.object_]) -> tuple[Numbers, NDArray[np.object_]]:
    """Return positions in the ids that occur, and these ids."""
    occurs = np.bincount(numbers, minlength=len(ids)) > 0
    return (np.cumsum(occurs, dtype=np.int32) - 1)[numbers], ids[occurs]


def _positions(ids: pd.Index, wanted: Sequence[str] | NDArray[np.object_]) -> Ints:
    return ids.get_indexer(pd.Index(np.asarray(wanted, dtype=object))).astype(np.int64)
