"""What the shop sells: products, what goes with what, promotions.

Belongs here: everything that is decided before the first customer comes. Does not: who buys it (`baskets`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clm_dagster.simulate.parameters import Parameters, stream

_WORDS = ("Linen", "Oak", "Copper", "Velvet", "Marble", "Willow", "Amber", "Slate", "Ivory", "Cobalt")
_THINGS = {
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
    """Products at a discount over days [first, end). `category` is that of its products, or -1."""

    number: int
    products: np.ndarray
    category: int
    first: int
    end: int
    discount: float


@dataclass(frozen=True)
class Catalogue:
    """Arrays of one entry for each product; products 2k and 2k + 1 go together, in the shop and on its shelves."""

    category: np.ndarray
    popularity: np.ndarray
    price: np.ndarray
    cost: np.ndarray
    quality: np.ndarray  # standard normal
    appetite: np.ndarray  # extra units of a line of an order of mean worth
    launched: np.ndarray  # day; 0 for what was there before
    ended: np.ndarray  # exclusive day
    partner: np.ndarray
    names: np.ndarray
    promotions: tuple[Promotion, ...]

    @cached_property
    def by_category(self) -> np.ndarray:
        """Products in the order of their categories."""
        return np.argsort(self.category, kind="stable")

    def available(self, day: int) -> np.ndarray:
        """Which products are sold on a day."""
        return (self.launched <= day) & (day < self.ended)

    def discounts(self, day: int) -> np.ndarray:
        """Share taken off each product's price on a day."""
        found = np.zeros(len(self.price))
        for promotion in self.promotions:
            if promotion.first <= day < promotion.end:
                found[promotion.products] = np.maximum(found[promotion.products], promotion.discount)
        return found

    def picker(self, weights: np.ndarray) -> "Picker":
        """Draws a product of a category, in proportion to weights."""
        return Picker(self, weights)


class Picker:
    """Products of a category in proportion to weights, by one search in one sorted array."""

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
        # The last product with a weight reaches exactly 1, and what has no weight is never passed.
        reached = (running - before[sorted_category]) / (running[ends - 1] - before)[sorted_category]
        self._keys, self._order = sorted_category + reached, order

    def draw(self, category: np.ndarray, portion: np.ndarray) -> np.ndarray:
        """A product for each (category, uniform number)."""
        return self._order[
            np.searchsorted(self._keys, category + np.minimum(portion, 1 - 1e-9), side="right")
        ]


def build_catalogue(parameters: Parameters) -> Catalogue:
    """Draw the products and plan the promotions."""
    rng, n, shelves = stream(parameters, "catalogue"), parameters.products, len(parameters.categories)
    number = np.arange(n)
    pair = number // 2
    pairs = pair[-1] + 1
    # The first pairs fill every shelf, and are never taken off it.
    of_pair = np.where(
        np.arange(pairs) < shelves, np.arange(pairs) % shelves, rng.integers(shelves, size=pairs)
    )
    category = of_pair[pair]
    stray = (rng.random(n) < 0.3) & (number % 2 == 1) & (pair >= shelves)
    category = np.where(stray, rng.integers(shelves, size=n), category)
    lasting = np.arange(pairs) < shelves
    launched = np.where(
        lasting | (rng.random(pairs) < 0.8), 0, rng.integers(1, parameters.days + 1, size=pairs)
    )
    stay = rng.integers(120, 900, size=pairs)
    ended = np.where(lasting | (rng.random(pairs) < 0.75), parameters.days + 1, launched + stay)
    price = np.maximum(np.round(rng.lognormal(2.3, 0.55, n)) - 0.01, 0.99)
    partner = np.where(number ^ 1 < n, number ^ 1, number)
    things = [_THINGS[parameters.categories[c]][k % 4] for c, k in zip(category, pair, strict=True)]
    names = [f"{_WORDS[k % 10]} {thing} {k}" for k, thing in zip(number, things, strict=True)]
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
    """A week of a category every fortnight, and single products in the other weeks."""
    rng, found = stream(parameters, "promotions"), []
    for number, first in enumerate(range(3, parameters.days, 7)):
        discount = float(rng.choice([0.1, 0.15, 0.2, 0.25, 0.3]))
        end = min(first + int(rng.integers(4, 8)), parameters.days)
        if number % 2 == 0:
            shelf = int(rng.integers(category.max() + 1))
            products = np.flatnonzero(category == shelf)
        else:
            shelf, products = -1, rng.choice(len(category), 1)
        found.append(Promotion(number, products, shelf, first, end, discount))
    return tuple(found)
