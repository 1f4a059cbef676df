"""When customers order, and when they leave: the state of everyone, moved on by a day at a time.

Belongs here: the clock of orders. Does not: what is in them (`baskets`). Memory is a few numbers for each
customer, however long the history.
"""

from dataclasses import dataclass

import numpy as np

from clm_dagster.simulate.parameters import stream
from clm_dagster.simulate.scene import Scene


@dataclass(frozen=True)
class Orders:
    """A day's orders in the order of their times. `customer` is an index; guests' is the population's last."""

    customer: np.ndarray
    portion: np.ndarray  # of the day that had passed
    number: np.ndarray  # of the order in the shop, from 0

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True)
class Day:
    """What a day began with: the expected orders of everyone who had arrived by its end, and of guests."""

    number: int
    known: int  # customers that have arrived by the end of the day
    expected: np.ndarray  # (known,) orders, given all that happened before the day
    expected_guests: float
    orders: Orders


class Purchases:
    """The state of all customers."""

    def __init__(self, scene: Scene) -> None:
        self._parameters, self._population = scene.parameters, scene.population
        self._catalogue, self._days = scene.catalogue, scene.days
        count = scene.population.guest
        self._budget = scene.population.budget[:count].copy()
        self.bought = np.zeros(count, np.int32)
        self.dropped_at = np.full(count, np.nan)
        self.first_order_at = np.full(count, np.nan)
        self._effect = np.zeros(count, np.float32)
        self._effect_until = np.zeros(count, np.int32)
        self._orders = 0

    @property
    def gone(self) -> np.ndarray:
        """Who has left for good, shape (customers,)."""
        return ~np.isnan(self.dropped_at)

    def mail(self, customer: np.ndarray, arm: np.ndarray, day: int) -> None:
        """Let a mail of a day act from the next day on; the latest mail counts."""
        self._effect[customer] = self._population.effects[customer, arm]
        self._effect_until[customer] = day + 1 + self._parameters.effect_days

    def day(self, number: int) -> Day:
        """Everybody's orders of a day."""
        population, parameters = self._population, self._parameters
        rng = stream(parameters, "orders", number)
        known = int(np.searchsorted(population.arrived[:-1], number + 1, side="left"))
        before = int(np.searchsorted(population.arrived[:-1], number, side="left"))
        fresh = np.arange(before, known)
        at_once = fresh[population.at_once[fresh]]
        begun = np.maximum(population.arrived[:known] - number, 0.0)
        factor = self._factor(number, known)
        was_prospect = self.bought[:known] == 0
        rate = np.where(was_prospect, parameters.prospect_rate, population.rate[:known])
        rate[at_once] = population.rate[at_once]
        rate[self.gone[:known]] = 0.0
        hazard = rate * factor * (1 - begun)
        expected = self._expected(hazard, was_prospect, at_once)
        self.bought[at_once] += 1
        self.first_order_at[at_once] = population.arrived[at_once]
        customers, portions = [at_once], [begun[at_once]]
        for who, when in self._passing(rng, number, known, hazard, factor, begun):
            customers.append(who)
            portions.append(when)
        guests = int(rng.poisson(parameters.guest_rate * self._days.level[number]))
        customers.append(np.full(guests, population.guest))
        portions.append(rng.random(guests))
        customer, portion = np.concatenate(customers), np.concatenate(portions)
        order = np.lexsort((customer, portion))
        orders = Orders(customer[order], portion[order], self._orders + np.arange(len(order)))
        self._orders += len(order)
        return Day(number, known, expected, parameters.guest_rate * self._days.level[number], orders)

    def _factor(self, number: int, known: int) -> np.ndarray:
        """What multiplies everybody's rate on a day."""
        factor = np.full(known, self._days.level[number])
        if self._parameters.believable:
            available = self._catalogue.available(number)
            strength = float((self._catalogue.discounts(number) * available).sum() / available.sum())
            factor *= 1 + self._parameters.sale_pull * strength * self._population.sensitivity[:known]
            acts = self._effect_until[:known] > number
            factor[acts] *= np.exp(self._effect[:known][acts])
        return factor

    def _expected(self, hazard: np.ndarray, was_prospect: np.ndarray, at_once: np.ndarray) -> np.ndarray:
        """Expected orders of a day with hazard H: (1 - exp(-p H)) / p where each order ends it with probability p.

        Of a prospect 1 - exp(-H): a second order on the day of his first is too rare to count.
        """
        dropout = np.maximum(self._population.dropout[: len(hazard)], 1e-9)
        expected = np.where(was_prospect, 1.0, -np.expm1(-hazard * dropout) / dropout)
        expected[was_prospect] = -np.expm1(-hazard[was_prospect])
        expected[at_once] = 1 - np.expm1(-hazard[at_once] * dropout[at_once]) / dropout[at_once]
        return expected

    def _passing(
        self,
        rng: np.random.Generator,
        number: int,
        known: int,
        hazard: np.ndarray,
        factor: np.ndarray,
        begun: np.ndarray,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Let the day's hazard run against everybody's budget; who orders draws a new one."""
        population = self._population
        who = np.flatnonzero(self._budget[:known] < hazard)
        used, total, since = self._budget[who], hazard[who], begun[who]
        self._budget[:known] -= hazard
        found = []
        while len(who):
            portion = since + (1 - since) * used / total
            found.append((who, portion))
            first = self.bought[who] == 0
            self.first_order_at[who[first]] = number + portion[first]
            self.bought[who] += 1
            leaves = ~first & (rng.random(len(who)) < population.dropout[who])
            self.dropped_at[who[leaves]] = number + portion[leaves]
            # Whoever has just become a customer goes on at his own rate.
            left = np.where(first, population.rate[who] * factor[who] * (1 - portion), total - used)
            budget = rng.standard_exponential(len(who))
            self._budget[who] = np.where(leaves, np.inf, budget - left)
            again = ~leaves & (budget < left)
            since, used, total, who = portion[again], budget[again], left[again], who[again]
        return found
