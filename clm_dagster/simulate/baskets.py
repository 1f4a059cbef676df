"""What is in an order, and what is to be expected of a day: the same formulas, drawn and summed.

Belongs here: lines of orders and expected demand. Does not: when orders fall (`purchases`).
"""

from dataclasses import dataclass

import numpy as np

from clm_dagster.simulate.catalogue import Picker
from clm_dagster.simulate.parameters import stream
from clm_dagster.simulate.population import draw_rows
from clm_dagster.simulate.purchases import Day, Orders
from clm_dagster.simulate.scene import Scene


@dataclass(frozen=True)
class Lines:
    """Lines of a day's orders, in their order; `order` is an index into the day's orders."""

    order: np.ndarray
    position: np.ndarray  # in the order, from 0
    product: np.ndarray
    quantity: np.ndarray
    price: np.ndarray  # of one unit

    def __len__(self) -> int:
        return len(self.order)


@dataclass(frozen=True)
class Shelf:
    """A day's choice: what is there, at which discount, and how a product of a category is chosen."""

    available: np.ndarray
    discounts: np.ndarray
    picker: Picker
    promoted: np.ndarray  # shares of the products on promotion, all zero without one
    seasonal: np.ndarray  # shares of the categories

    @property
    def on_sale(self) -> bool:
        """Whether a product is on promotion."""
        return bool(self.promoted.any())


class Baskets:
    """Draws lines, and knows what to expect of them."""

    def __init__(self, scene: Scene) -> None:
        self._parameters, self._population = scene.parameters, scene.population
        self._catalogue, self._days = scene.catalogue, scene.days
        self._season_share = scene.parameters.season_share if scene.parameters.believable else 0.0

    def shelf(self, day: int) -> Shelf:
        """What can be bought on a day."""
        catalogue = self._catalogue
        available, discounts = catalogue.available(day), catalogue.discounts(day)
        weights = catalogue.popularity * available * (1 + 4 * discounts)
        promoted = catalogue.popularity * available * (discounts > 0)
        share = promoted / promoted.sum() if promoted.any() else promoted
        return Shelf(available, discounts, catalogue.picker(weights), share, self._days.seasonal[day])

    def lines(self, day: int, orders: Orders, shelf: Shelf) -> Lines:
        """The lines of a day's orders."""
        parameters, population = self._parameters, self._population
        rng = stream(parameters, "baskets", day)
        worth = rng.gamma(parameters.spend_p, 1 / population.spend_rate[orders.customer])
        count = 1 + rng.poisson(parameters.extra_lines, len(orders))
        order = np.repeat(np.arange(len(orders)), count)
        position = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        product = self.pick(rng, orders.customer[order], shelf)
        follows = (position > 0) & (rng.random(len(order)) < parameters.complement)
        for place in range(1, int(count.max(initial=0))):
            line = np.flatnonzero(follows & (position == place))
            product[line] = self._catalogue.partner[product[line - 1]]
        appetite = worth[order] / parameters.mean_spend * self._catalogue.appetite[product]
        quantity = 1 + rng.poisson(appetite)
        price = np.round(self._catalogue.price[product] * (1 - shelf.discounts[product]), 2)
        if not parameters.believable:
            total = np.bincount(order, quantity * price, minlength=len(orders))
            price = np.round(price * (worth / np.maximum(total, 1e-9))[order], 4)
        return Lines(order, position, product, quantity, price)

    def pick(self, rng: np.random.Generator, customer: np.ndarray, shelf: Shelf) -> np.ndarray:
        """A product for each customer: a favourite, a promoted one, or one of the season's or his own taste."""
        population, n = self._population, len(customer)
        chance = rng.random((6, n))
        sides = population.favourites.shape[1]
        favourite = population.favourites[customer, (chance[0] * sides).astype(int)]
        category = draw_rows(population.tastes[customer], chance[1])
        if self._season_share:
            seasonal = np.searchsorted(np.cumsum(shelf.seasonal), chance[1] * (1 - 1e-9), side="right")
            category = np.where(chance[2] < self._season_share, seasonal, category)
        product = shelf.picker.draw(category, chance[3])
        if shelf.on_sale:
            offered = np.searchsorted(np.cumsum(shelf.promoted), chance[3] * (1 - 1e-9), side="right")
            product = np.where(chance[4] < population.sensitivity[customer], offered, product)
        loyal = (chance[5] < population.loyalty[customer]) & shelf.available[favourite]
        return np.where(loyal, favourite, product)

    def expected(self, day: Day, shelf: Shelf) -> np.ndarray:
        """Expected units of each product, given all that happened before the day; shape (products,)."""
        parameters, population = self._parameters, self._population
        alive = np.flatnonzero(day.expected > 0)
        who = np.append(alive, population.guest)
        orders = np.append(day.expected[alive], day.expected_guests)
        worth = parameters.spend_p / population.spend_rate[who] / parameters.mean_spend
        plain, by_worth = self._expected_lines(who, np.stack([orders, orders * worth]), shelf)
        return plain + self._catalogue.appetite * by_worth

    def _expected_lines(self, who: np.ndarray, weights: np.ndarray, shelf: Shelf) -> np.ndarray:
        """Expected lines by product of orders that count with weights: the mixture of `pick`, summed.

        Weights have the shape (kinds, who), the result (kinds, products).
        """
        population, products = self._population, len(shelf.available)
        favourites = population.favourites[who]
        there = shelf.available[favourites]
        sides = favourites.shape[1]
        loyal = weights * population.loyalty[who]
        chosen = [
            np.bincount(favourites.ravel(), (there * (kind / sides)[:, None]).ravel(), minlength=products)
            for kind in loyal
        ]
        rest = weights - loyal * there.mean(axis=1)
        offered = rest * population.sensitivity[who] if shelf.on_sale else np.zeros_like(rest)
        # Not by BLAS, whose sums depend on its threads.
        own = np.einsum("kn,nc->kc", rest - offered, population.tastes[who])
        season = own.sum(axis=1, keepdims=True) * shelf.seasonal
        category = (1 - self._season_share) * own + self._season_share * season
        base = chosen + offered.sum(axis=1, keepdims=True) * shelf.promoted
        base = base + category[:, self._catalogue.category] * shelf.picker.share
        lines, line = base.copy(), base
        probability, at_least = np.exp(-self._parameters.extra_lines), 1.0
        for place in range(1, 40):
            at_least -= probability  # P(an order has more lines than this one's place)
            probability *= self._parameters.extra_lines / place
            follow = line[:, self._catalogue.partner]  # each is its partner's partner
            line = self._parameters.complement * follow + (1 - self._parameters.complement) * base
            lines += at_least * line
        return lines
