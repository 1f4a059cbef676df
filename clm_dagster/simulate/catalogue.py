"""The shop's products, product pairs and promotions.

Belongs here: everything about products that is fixed before the first day. Does not: who buys them (`baskets`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clm_dagster.simulate.parameters import Parameters, stream

_NAME_WORDS = ("Linen", "Oak", "Copper", "Velvet", "Marble", "Willow", "Amber", "Slate", "Ivory", "Cobalt")
_ITEM_NAMES = {
    "home": ("lamp", "cushion", "frame", "vase"),
    "kitchen": ("bowl", "kettle", "board", "jar"),
    "garden": ("planter", "lantern", "trowel", "bench"),
    "toys": ("puzzle", "blocks", "kite", "robot"),
    "books": ("notebook", "atlas", "novel", "diary"),
    "beauty": ("soap", "balm", "brush", "candle"),
    "sports": ("bottle", "mat", "rope", "towel"),
    "fashion": ("scarf", "belt", "bag", "hat"),
    "electronics": ("speaker", "clock", "charger", "torch"),
    "food": ("tea", "honey", "biscuits", "coffee"),
}


@dataclass(frozen=True)
class Promotion:
    """A discount on products over the days [first, end). `category` is -1 unless it covers a whole category."""

    number: int
    products: np.ndarray
    category: int
    first: int
    end: int
    discount: float


@dataclass(frozen=True)
class Catalogue:
    """Arrays with one entry per product; products 2k and 2k + 1 are partners that are bought together."""

    category: np.ndarray
    popularity: np.ndarray
    price: np.ndarray
    cost: np.ndarray
    quality: np.ndarray  # standard normal
    appetite: np.ndarray  # expected extra units per line in an order of mean value
    launched: np.ndarray  # day; 0 if sold from the start
    ended: np.ndarray  # exclusive day
    partner: np.ndarray
    names: np.ndarray
    promotions: tuple[Promotion, ...]

    @cached_property
    def by_category(self) -> np.ndarray:
        """Product numbers sorted by category."""
        return np.argsort(self.category, kind="stable")

    def available(self, day: int) -> np.ndarray:
        """Return which products are sold on a day."""
        return (self.launched <= day) & (day < self.ended)

    def discounts(self, day: int) -> np.ndarray:
        """Return each product's discount on a day, as a share of its price."""
        found = np.zeros(len(self.price))
        for promotion in self.promotions:
            if promotion.first <= day < promotion.end:
                found[promotion.products] = np.maximum(found[promotion.products], promotion.discount)
        return found

    def sampler(self, weights: np.ndarray) -> "ProductSampler":
        """Return a sampler of products within a category, in proportion to weights."""
        return ProductSampler(self, weights)


class ProductSampler:
    """Sample products within a category in proportion to weights, by binary search in one sorted array."""

    def __init__(self, catalogue: Catalogue, weights: np.ndarray) -> None:
        order, category = catalogue.by_category, catalogue.category
        totals = np.bincount(category, weights, minlength=category.max() + 1)
        self.share = np.divide(
            weights, totals[category], out=np.zeros_like(weights), where=totals[category] > 0
        )
        sorted_category = category[order]
        running = np.cumsum(weights[order])
        ends = np.searchsorted(sorted_category, np.arange(len(totals)), side="right")
        before = np.concatenate([[0.0], running[ends[:-1] - 1]])
        # The last product with a weight reaches exactly 1; products without a weight are never drawn.
        cumulative_share = (running - before[sorted_category]) / (running[ends - 1] - before)[sorted_category]
        self._keys, self._order = sorted_category + cumulative_share, order

    def draw(self, category: np.ndarray, portion: np.ndarray) -> np.ndarray:
        """Return a product for each pair of a category and a uniform number."""
        products: np.ndarray = self._order[
            np.searchsorted(self._keys, category + np.minimum(portion, 1 - 1e-9), side="right")
        ]
        return products


def build_catalogue(parameters: Parameters) -> Catalogue:
    """Draw the products and plan the promotions."""
    rng, n, categories = stream(parameters, "catalogue"), parameters.products, len(parameters.categories)
    number = np.arange(n)
    pair = number // 2
    pairs = pair[-1] + 1
    # The first pairs cover every category and are always sold.
    pair_category = np.where(
        np.arange(pairs) < categories, np.arange(pairs) % categories, rng.integers(categories, size=pairs)
    )
    category = pair_category[pair]
    is_stray = (rng.random(n) < 0.3) & (number % 2 == 1) & (pair >= categories)
    category = np.where(is_stray, rng.integers(categories, size=n), category)
    is_permanent = np.arange(pairs) < categories
    launched = np.where(
        is_permanent | (rng.random(pairs) < 0.8), 0, rng.integers(1, parameters.days + 1, size=pairs)
    )
    days_sold = rng.integers(120, 900, size=pairs)
    ended = np.where(is_permanent | (rng.random(pairs) < 0.75), parameters.days + 1, launched + days_sold)
    price = np.maximum(np.round(rng.lognormal(2.3, 0.55, n)) - 0.01, 0.99)
    partner = np.where(number ^ 1 < n, number ^ 1, number)
    items = [_ITEM_NAMES[parameters.categories[c]][k % 4] for c, k in zip(category, pair, strict=True)]
    names = [f"{_NAME_WORDS[k % 10]} {item} {k}" for k, item in zip(number, items, strict=True)]
    return Catalogue(
        category=category,
        popularity=rng.permutation(1 / np.arange(1, n + 1) ** 0.8),
        price=price,
        cost=np.round(price * rng.uniform(0.4, 0.65, n), 2),
        quality=rng.standard_normal(n),
        appetite=np.clip(10 / price, 0.2, 1.5),
        launched=launched[pair],
        ended=ended[pair],
        partner=partner,
        names=np.array(names, dtype=object),
        promotions=_promotions(parameters, category) if parameters.believable else (),
    )


def _promotions(parameters: Parameters, category: np.ndarray) -> tuple[Promotion, ...]:
    """Return the promotions: a whole category every other week, a single product in the weeks between."""
    rng, found = stream(parameters, "promotions"), []
    for number, first in enumerate(range(3, parameters.days, 7)):
        discount = float(rng.choice([0.1, 0.15, 0.2, 0.25, 0.3]))
        end = min(first + int(rng.integers(4, 8)), parameters.days)
        if number % 2 == 0:
            promoted_category = int(rng.integers(category.max() + 1))
            products = np.flatnonzero(category == promoted_category)
        else:
            promoted_category, products = -1, rng.choice(len(category), 1)
        found.append(Promotion(number, products, promoted_category, first, end, discount))
    return tuple(found)
