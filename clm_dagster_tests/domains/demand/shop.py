"""A made-up shop in the format of core.demand_series, drawn from known distributions."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand import model
from clm_dagster.domains.demand.model import candidates
from clm_dagster.domains.demand.panel_methods import Method
from clm_dagster.domains.demand.series import Panel, make_panel

FIRST, AS_OF = date(2023, 1, 2), date(2024, 7, 1)
WEEK = np.array([1.0, 1.2, 1.1, 1.0, 1.5, 0.0, 0.4])
"""Sales by weekday, Monday first; Saturdays are closed."""
CHRISTMAS = ("2023-12-25", "2023-12-26", "2024-01-01")


def days_of(first: date = FIRST, as_of: date = AS_OF) -> pd.DatetimeIndex:
    return pd.date_range(first, as_of, inclusive="left")


def expected(level: float, days: pd.DatetimeIndex) -> np.ndarray:
    """Return the mean sales of each day: the weekly season, and shut days at Christmas."""
    mean = level * WEEK[days.day_of_week]
    return np.where(days.isin(pd.to_datetime([*CHRISTMAS])), 0.0, mean)


def sales(levels: dict[tuple[str, str, str], float], seed: int = 1, as_of: date = AS_OF) -> pd.DataFrame:
    """Draw sparse Poisson days of independent series."""
    rng, days = np.random.default_rng(seed), days_of(as_of=as_of)
    parts = []
    for (level, key, measure), mean in levels.items():
        value = rng.poisson(expected(mean, days)).astype(float)
        frame = pd.DataFrame({"level": level, "key": key, "measure": measure, "day": days, "value": value})
        parts.append(frame[frame.value != 0])
    return pd.concat(parts, ignore_index=True)


def shop(products: int = 3, as_of: date = AS_OF) -> pd.DataFrame:
    """Draw a shop whose units and revenue are the sums of its products; the last one is `other`."""
    names = [*(f"p{i}" for i in range(products - 1)), "other"]
    units = sales({("product", name, "units"): 5.0 + 8 * i for i, name in enumerate(names)}, as_of=as_of)
    price = {name: 1.25 + i for i, name in enumerate(names)}
    revenue = units.assign(measure="revenue", value=units.value * units.key.map(price))
    parts = pd.concat([units, revenue])
    total = parts.groupby(["measure", "day"], as_index=False)[["value"]].sum().assign(level="shop", key="all")
    return pd.concat([parts, total], ignore_index=True)


def panel_of(values: np.ndarray, first: date = FIRST) -> Panel:
    """Return a daily panel of dense rows."""
    keys = pd.DataFrame(
        {"level": "product", "key": [f"k{i}" for i in range(len(values))], "measure": "units"}
    )
    return make_panel(keys, values, pd.date_range(first, periods=values.shape[1]))


@contextmanager
def only_methods(*names: str) -> Iterator[None]:
    """Evaluate only these methods within the block."""
    everyone = candidates

    def some(
        jobs: int = 1, weekly: bool = False, lstm: bool = False, one_weekday: bool = False
    ) -> list[Method]:
        found = everyone(jobs, weekly, one_weekday=one_weekday)
        return [method for method in found if method.name in names]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "candidates", some)
        yield
