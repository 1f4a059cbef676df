"""Features of the uplift model: customers as a matrix of numbers without gaps.

Belongs here: the matrix and what it learns from training rows. Does not: names of columns (`names`), learners.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.uplift.names import CATEGORIES, COUNTS, MONEY, NUMBERS

# Rarer values of a category are one: the model learns little of them.
_MOST_VALUES, _FEWEST_ROWS = 8, 50


@dataclass(frozen=True)
class Encoder:
    """What the matrix takes from training rows.

    fills: the median of each number, for customers who lack it. values: the frequent values of each category.
    """

    fills: Mapping[str, float]
    values: Mapping[str, Sequence[str]]

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> "Encoder":
        """Return the encoder of training rows with the columns `INPUTS`."""
        numbers = _numbers(frame)
        medians = {str(name): float(np.nan_to_num(numbers[name].median())) for name in numbers}
        values = {}
        for name in CATEGORIES:
            counts = frame[name].dropna().astype(str).value_counts()
            frequent = counts[counts >= _FEWEST_ROWS]
            values[name] = sorted(frequent.index[:_MOST_VALUES])
        return cls(medians, values)

    @property
    def columns(self) -> list[str]:
        """The names of the columns of the matrix."""
        encoded = [f"{name}={value}" for name, values in self.values.items() for value in values]
        return [*self.fills, "has_ordered", *encoded]

    def matrix(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return the matrix of n customers, shape (n, columns)."""
        numbers = _numbers(frame)
        parts = [numbers[name].fillna(fill).to_numpy(float) for name, fill in self.fills.items()]
        parts.append((numbers["order_days"].fillna(0) > 0).to_numpy(float))
        for name, values in self.values.items():
            found = frame[name].astype(object).where(frame[name].notna(), "").astype(str)
            parts += [found.eq(value).to_numpy(float) for value in values]
        return np.column_stack(parts)

    def state(self) -> dict[str, Any]:
        """Return what `of_state` takes, for JSON."""
        return {"fills": dict(self.fills), "values": {name: list(v) for name, v in self.values.items()}}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Encoder":
        """Return the encoder of a stored state."""
        return cls(state["fills"], state["values"])


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers as floats that may be missing, counts and money as signed logarithms, and two ratios."""
    raw = frame[list(NUMBERS)].apply(pd.to_numeric, errors="coerce").astype(float)
    found: pd.DataFrame = raw.copy()
    for name in (*COUNTS, *MONEY):
        found[name] = np.sign(raw[name]) * np.log1p(raw[name].abs())
    gross = raw["gross_revenue"].where(raw["gross_revenue"] > 0)
    found["discount_share"] = raw["discounts"] / gross
    gap = raw["mean_gap_days"].where(raw["mean_gap_days"] > 0)
    found["recency_by_gap"] = np.log1p(raw["recency_days"] / gap)
    return found
