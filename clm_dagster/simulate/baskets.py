"""The contents of orders, and a day's expected demand: the same formulas, sampled and summed.

Belongs here: order lines and expected demand. Does not: the timing of orders (`purchases`).
"""

from dataclasses import dataclass

import numpy as np

from clm_dagster.simulate.catalogue import ProductSampler
from clm_dagster.simulate.own_numbers import OwnNumbers
from clm_dagster.simulate.parameters import stream
from clm_dagster.simulate.population import draw_rows
from clm_dagster.simulate.purchases import Day, Orders
from clm_dagster.simulate.scenario import Scenario


@dataclass(frozen=True)
class Lines:
    """The lines of a day's orders, sorted by order; `order` is an index into the day's orders."""

    order: np.ndarray
    position: np.ndarray  # within the order, from 0
    product: np.ndarray
    quantity: np.ndarray
    price: np.ndarray  # per unit

    def __len__(self) -> int:
        return len(self.order)


@dataclass(frozen=True)
class Assortment:
    """The products on sale on a day, their discounts, and how a product of a category is sampled."""

    available: np.ndarray
    discounts: np.ndarray
    sampler: ProductSampler
    promoted: np.ndarray  # shares among promoted products; all zero without a promotion
    seasonal: np.ndarray  # category shares

    @property
    def has_promotion(self) -> bool:
        """Whether any product is on promotion."""
        return bool(self.promoted.any())


class Baskets:
    """Draw order lines, and compute the demand expected from them."""

    def __init__(self, scenario: Scenario) -> None:
        self._parameters, self._population = scenario.parameters, scenario.population
        self._catalogue, self._days, self._future = scenario.catalogue, scenario.days, scenario.future
        self._season_share = scenario.parameters.season_share if scenario.parameters.believable else 0.0

    def assortment(self, day: int) -> Assortment:
        """Return what can be bought on a day."""
        catalogue = self._catalogue
        available, discounts = catalogue.available(day), catalogue.discounts(day)
        weights = catalogue.popularity * available * (1 + 4 * discounts)
        promoted = catalogue.popularity * available * (discounts > 0)
        share = promoted / promoted.sum() if promoted.any() else promoted
        return Assortment(available, discounts, catalogue.sampler(weights), share, self._days.seasonal[day])

    def lines(self, day: int, orders: Orders, assortment: Assortment) -> Lines:
        """Draw the lines of a day's orders."""
        parameters, population = self._parameters, self._population
        draws = self._draws(day, orders)
        order_value = draws.gamma(parameters.spend_p, 1 / population.spend_rate[orders.customer])
        count = 1 + draws.poisson(parameters.extra_lines, len(orders))
        order = np.repeat(np.arange(len(orders)), count)
        position = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        if orders.of_customer is not None:
            keys = orders.customer[order], orders.of_customer[order], position
            draws = OwnNumbers(parameters, "own lines", self._future, *keys)
        product = self.draw_products(draws, orders.customer[order], assortment)
        follows = (position > 0) & (draws.random(len(order)) < parameters.complement)
        for place in range(1, int(count.max(initial=0))):
            line = np.flatnonzero(follows & (position == place))
            product[line] = self._catalogue.partner[product[line - 1]]
        appetite = order_value[order] / parameters.mean_spend * self._catalogue.appetite[product]
        quantity = 1 + draws.poisson(appetite)
        price = np.round(self._catalogue.price[product] * (1 - assortment.discounts[product]), 2)
        if not parameters.believable:
            total = np.bincount(order, quantity * price, minlength=len(orders))
            price = np.round(price * (order_value / np.maximum(total, 1e-9))[order], 4)
        return Lines(order, position, product, quantity, price)

    def _draws(self, day: int, orders: Orders) -> np.random.Generator | OwnNumbers:
        if orders.of_customer is None:
            return stream(self._parameters, "baskets", day)
        return OwnNumbers(self._parameters, "own baskets", self._future, orders.customer, orders.of_customer)

    def draw_products(
        self, draws: np.random.Generator | OwnNumbers, customer: np.ndarray, assortment: Assortment
    ) -> np.ndarray:
        """Draw a product for each customer.

        It is a favourite, a promoted product, or a product of a category from the season or their own taste.
        """
        population, n = self._population, len(customer)
        chance = draws.random((6, n))
        favourite_count = population.favourites.shape[1]
        favourite = population.favourites[customer, (chance[0] * favourite_count).astype(int)]
        category = draw_rows(population.tastes[customer], chance[1])
        if self._season_share:
            seasonal = np.searchsorted(np.cumsum(assortment.seasonal), chance[1] * (1 - 1e-9), side="right")
            category = np.where(chance[2] < self._season_share, seasonal, category)
        product = assortment.sampler.draw(category, chance[3])
        if assortment.has_promotion:
            offered = np.searchsorted(np.cumsum(assortment.promoted), chance[3] * (1 - 1e-9), side="right")
            product = np.where(chance[4] < population.sensitivity[customer], offered, product)
        loyal = (chance[5] < population.loyalty[customer]) & assortment.available[favourite]
        return np.where(loyal, favourite, product)

    def expected(self, day: Day, assortment: Assortment) -> np.ndarray:
        """Return the expected units of each product, given everything before the day; shape (products,)."""
        parameters, population = self._parameters, self._population
        active = np.flatnonzero(day.expected > 0)
        customers = np.append(active, population.guest)
        orders = np.append(day.expected[active], day.expected_guests)
        order_value = parameters.spend_p / population.spend_rate[customers] / parameters.mean_spend
        fixed, per_value = self._expected_lines(
            customers, np.stack([orders, orders * order_value]), assortment
        )
        lines: np.ndarray = fixed + self._catalogue.appetite * per_value
        return lines

    def _expected_lines(
        self, customers: np.ndarray, weights: np.ndarray, assortment: Assortment
    ) -> np.ndarray:
        """Return expected lines by product for weighted orders: the mixture of `draw_products`, summed.

        Weights have the shape (kinds, customers), the result has (kinds, products).
        """
        population, products = self._population, len(assortment.available)
        favourites = population.favourites[customers]
        is_available = assortment.available[favourites]
        favourite_count = favourites.shape[1]
        loyal = weights * population.loyalty[customers]
        chosen = [
            np.bincount(
                favourites.ravel(),
                (is_available * (kind / favourite_count)[:, None]).ravel(),
                minlength=products,
            )
            for kind in loyal
        ]
        rest = weights - loyal * is_available.mean(axis=1)
        offered = (
            rest * population.sensitivity[customers] if assortment.has_promotion else np.zeros_like(rest)
        )
        # Without BLAS, whose sums depend on its number of threads.
        own = np.einsum("kn,nc->kc", rest - offered, population.tastes[customers])
        season = own.sum(axis=1, keepdims=True) * assortment.seasonal
        category = (1 - self._season_share) * own + self._season_share * season
        base = chosen + offered.sum(axis=1, keepdims=True) * assortment.promoted
        base = base + category[:, self._catalogue.category] * assortment.sampler.share
        lines: np.ndarray = base.copy()
        line = base
        probability, at_least = np.exp(-self._parameters.extra_lines), 1.0
        for place in range(1, 40):
            at_least -= probability  # P(an order has a line at this position)
            probability *= self._parameters.extra_lines / place
            follow = line[:, self._catalogue.partner]  # the partner relation is symmetric
            line = self._parameters.complement * follow + (1 - self._parameters.complement) * base
            lines += at_least * line
        return lines
