"""Sums over the customers of one arm: all that effects need.

Belongs here: counts, sums and cross products, from arrays or from SQL, and their moments. Does not: effects.

A customer is one row: an outcome, such as revenue in the days after the touch, and covariates that were measured before
assignment, such as revenue in the days before. SQL computes the sums, `count(*)`, `sum(y)`, `sum(y * y)`,
`sum(y * x)`, and this module computes the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# A variance below this share of the mean square is the rounding error of the sums.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of one arm over its customers, for an outcome and k - 1 covariates.

    customers: number of customers. totals: sum of each column, shape (k,); the outcome is column 0. products: sums of
    the products of columns, shape (k, k). Units are those of the columns, squared in products.
    """

    customers: int
    totals: Floats
    products: Floats

    def __post_init__(self) -> None:
        """Convert the sums to arrays of floats.

        Raises:
            ValueError: sums that do not fit together, are missing, or that no rows have.
        """
        totals = np.atleast_1d(np.asarray(self.totals, dtype=float))
        products = np.atleast_2d(np.asarray(self.products, dtype=float))
        if products.shape != (totals.size, totals.size):
            raise ValueError(
                f"{totals.size} columns need {totals.size} x {totals.size} products, got {products.shape}"
            )
        if self.customers < 0:
            raise ValueError(f"a number of customers is expected, got {self.customers}")
        if not (np.isfinite(totals).all() and np.isfinite(products).all()):
            raise ValueError("sums must be finite; fill missing covariates first, see `filled`")
        if (np.diag(products) < 0).any():
            raise ValueError("a sum of squares is below zero")
        object.__setattr__(self, "totals", totals)
        object.__setattr__(self, "products", (products + products.T) / 2)

    @classmethod
    def of(cls, values: ArrayLike) -> "Sums":
        """Return the sums of rows. values: outcomes (n,), or outcome and covariates (n, k), without missing ones.

        Examples:
            >>> revenue = Sums.of([0.0, 10.0, 20.0])
            >>> revenue.customers, float(revenue.mean), float(revenue.variance)
            (3, 10.0, 100.0)
        """
        rows = np.asarray(values, dtype=float)
        rows = rows[:, None] if rows.ndim == 1 else rows
        return cls(len(rows), rows.sum(axis=0), rows.T @ rows)

    @classmethod
    def of_totals(cls, customers: int, total: float, squares: float) -> "Sums":
        """Return the sums of an outcome without covariates. squares: sum of the squared outcomes."""
        return cls(customers, np.array([float(total)]), np.array([[float(squares)]]))

    @classmethod
    def of_cross(cls, customers: int, totals: Sequence[float], upper: Sequence[float]) -> "Sums":
        """Return the sums of k columns from the k (k + 1) / 2 products that SQL computes, row by row from the diagonal.

        Examples:
            >>> Sums.of_cross(2, [3.0, 5.0], [5.0, 7.0, 13.0]).products.tolist()
            [[5.0, 7.0], [7.0, 13.0]]
        """
        size = len(totals)
        products = np.zeros((size, size))
        rows, columns = np.triu_indices(size)
        products[rows, columns] = products[columns, rows] = np.asarray(upper, dtype=float)
        return cls(customers, np.asarray(totals, dtype=float), products)

    def __add__(self, other: "Sums") -> "Sums":
        """Return the sums over the customers of both, such as those of two days."""
        return Sums(
            self.customers + other.customers, self.totals + other.totals, self.products + other.products
        )

    def columns(self, chosen: Sequence[int]) -> "Sums":
        """Return the sums of some columns."""
        return Sums(self.customers, self.totals[list(chosen)], self.products[np.ix_(chosen, chosen)])

    @property
    def means(self) -> Floats:
        """Mean of each column, shape (k,)."""
        return np.asarray(self.totals / self.customers)

    @property
    def mean(self) -> float:
        """Mean of the outcome."""
        return float(self.means[0])

    @property
    def covariance(self) -> Floats:
        """Sample covariance of the columns, shape (k, k), with the divisor n - 1. Needs two customers."""
        n, means = self.customers, self.means
        found = (self.products - n * np.outer(means, means)) / (n - 1)
        constant = np.diag(found) <= _ROUNDING * np.diag(self.products) / n
        found[constant, :] = found[:, constant] = 0
        return np.asarray(found)

    @property
    def variance(self) -> float:
        """Sample variance of the outcome."""
        return float(self.covariance[0, 0])

    @property
    def effective(self) -> float:
        """Effective number of customers that carry the mean: (sum y)^2 / sum y^2 (Kish 1965).

        Equal to the number of conversions for an outcome of 0 and 1, and smaller than the number of buyers for revenue.
        An effective number of 10 means that the mean depends on a few customers, however many had an outcome of zero.
        """
        squares = float(self.products[0, 0])
        return float(self.totals[0] ** 2 / squares) if squares > 0 else 0.0


def filled(covariates: ArrayLike) -> Floats:
    """Return covariates (n, k) of both arms without missing values, for `Sums.of`.

    A missing value is replaced by the mean of the known values of its column, and each column with missing values
    gets one more column after the k, 1 where it was missing. Both are known before assignment, so the effect stays
    unbiased. A column without any known value is zero. In SQL: `coalesce(x, avg(x) over ())` and
    `cast(x is null as integer)`.

    Examples:
        >>> filled([[1.0, 5.0], [3.0, float("nan")]]).tolist()
        [[1.0, 5.0, 0.0], [3.0, 5.0, 1.0]]
    """
    rows = np.array(covariates, dtype=float)
    rows = rows[:, None] if rows.ndim == 1 else rows
    missing = np.isnan(rows)
    known = (~missing).sum(axis=0)
    means = np.where(missing, 0, rows).sum(axis=0) / np.maximum(known, 1)
    indicators = missing[:, missing.any(axis=0)].astype(float)
    return np.hstack([np.where(missing, means, rows), indicators])
