"""Daily sales of simulated shops, for the coverage of the bands of demand.

Belongs here: drawing sales with known parameters, and the shops that are measured. Does not: forecasting and measuring
(`demand_coverage`).

The mean of a product and day is its rate times the weekday, a factor of the day that all products share, a factor of
the week that the products of a category share, its own promotions and its own drift. Sales are Poisson counts around
it, after a gamma factor of the product and day. An intermittent product sells on a share of its days, in larger sizes.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clm_dagster.statistics.forecasting.css import Floats

FIRST = pd.Timestamp("2025-01-06")
EVEN = (1.0,) * 7
GROCERY_WEEK = (0.9, 0.85, 0.85, 0.9, 1.05, 1.25, 1.2)


@dataclass(frozen=True)
class SimulatedShop:
    """The parameters of a shop. Spreads are standard deviations of logarithms."""

    products: int = 60
    categories: int = 4
    median_rate: float = 3.0
    """Mean sales a day of the median product."""
    rate_spread: float = 1.2
    weekdays: tuple[float, ...] = EVEN
    weekday_spread: float = 0.1
    """Difference of the weekdays of a product from those of the shop."""
    excess: float = 0.0
    """Variance of the gamma factor of a product and day, mean 1."""
    burst_share: float = 0.0
    """Share of days on which a product sells `burst_size` times its mean."""
    burst_size: float = 1.0
    sold_share: tuple[float, float] | None = None
    """Lowest and highest share of days with a sale; None for products that can sell every day."""
    day_spread: float = 0.0
    """Spread of the factor of a day."""
    week_spread: float = 0.0
    """Spread of the factor of a week and category."""
    promotion_share: float = 0.0
    """Share of weeks in which a product is promoted."""
    promotion_lift: float = 1.0
    drift: float = 0.0
    """Spread of the weekly step of the level of a product."""

    def draw(self, seed: int, days: int, ahead: int, futures: int) -> tuple[Floats, Floats]:
        """Return sales (products, days), and equally likely futures of them (futures, products, ahead)."""
        rng = np.random.default_rng(seed)
        rate = self.median_rate * np.exp(rng.normal(0, self.rate_spread, self.products))
        own_week = np.exp(rng.normal(0, self.weekday_spread, (self.products, 7)))
        week = np.array(self.weekdays) / np.mean(self.weekdays) * own_week
        low, high = self.sold_share or (1.0, 1.0)
        sold = rng.uniform(low, high, self.products)
        steps = rng.normal(0, self.drift, (self.products, days // 7 + 1))
        level = rate[:, None] * np.exp(np.cumsum(steps, axis=1))
        mean = level[:, np.arange(days) // 7] * week[:, np.arange(days) % 7]
        history = self._sales(rng, mean, sold)
        drawn = []
        for _ in range(futures):
            walk = np.cumsum(rng.normal(0, self.drift, (self.products, ahead // 7 + 1)), axis=1)
            later = level[:, -1:] * np.exp(walk[:, np.arange(ahead) // 7])
            drawn.append(self._sales(rng, later * week[:, (days + np.arange(ahead)) % 7], sold))
        return history, np.stack(drawn)

    def category_of(self) -> np.ndarray:
        """Return the category of each product (products,)."""
        return np.arange(self.products) % self.categories

    def _sales(self, rng: np.random.Generator, mean: Floats, sold: Floats) -> Floats:
        products, days = mean.shape
        weeks = np.arange(days) // 7
        mean = mean * np.exp(rng.normal(0, self.day_spread, days))
        of_week = np.exp(rng.normal(0, self.week_spread, (self.categories, weeks[-1] + 1)))
        mean = mean * of_week[self.category_of()][:, weeks]
        promoted = rng.random((products, weeks[-1] + 1)) < self.promotion_share
        mean = mean * np.where(promoted, self.promotion_lift, 1.0)[:, weeks]
        mean = mean * np.where(rng.random(mean.shape) < self.burst_share, self.burst_size, 1.0)
        if self.excess:
            mean = mean * rng.gamma(1 / self.excess, self.excess, mean.shape)
        if self.sold_share is None:
            return rng.poisson(mean).astype(float)
        happens = rng.random(mean.shape) < sold[:, None]
        return np.where(happens, 1 + rng.poisson(mean), 0).astype(float)


SHOPS = {
    "poisson": SimulatedShop(),
    "bursty": SimulatedShop(excess=0.5, burst_share=0.05, burst_size=4.0),
    "intermittent": SimulatedShop(rate_spread=0.8, sold_share=(0.05, 0.4)),
    "grocery": SimulatedShop(
        products=100,
        categories=6,
        median_rate=0.6,
        rate_spread=1.3,
        weekdays=GROCERY_WEEK,
        excess=0.4,
        day_spread=0.12,
        week_spread=0.08,
        promotion_share=0.05,
        promotion_lift=2.5,
        drift=0.02,
    ),
}
"""The shops that are measured; `grocery` resembles Complete Journey."""


def as_series(sales: Floats, category_of: np.ndarray) -> pd.DataFrame:
    """Return sales (products, days) as rows of core.demand_series: units of products, categories and the shop."""
    dates = pd.date_range(FIRST, periods=sales.shape[1])
    parts = [
        pd.DataFrame({"level": level, "key": np.repeat(names, len(dates)), "value": values.ravel()}).assign(
            day=np.tile(dates, len(names)), measure="units"
        )
        for level, (names, values) in summed(sales, category_of).items()
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["value"] != 0].reset_index(drop=True)


def summed(sales: Floats, category_of: np.ndarray) -> dict[str, tuple[list[str], Floats]]:
    """Return the names and sales of each level: sums of sales (..., products, days) over products."""
    groups = np.unique(category_of)
    categories = np.stack([sales[..., category_of == group, :].sum(axis=-2) for group in groups], axis=-2)
    return {
        "product": ([f"p{i:04d}" for i in range(sales.shape[-2])], sales),
        "category": ([f"c{group:02d}" for group in groups], categories),
        "shop": (["all"], sales.sum(axis=-2, keepdims=True)),
    }
