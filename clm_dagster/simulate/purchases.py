"""When customers order and when they drop out: the state of all customers, advanced one day at a time.

Belongs here: the timing of orders. Does not: their contents (`baskets`). Memory is a few numbers per
customer, however long the history is.
"""

import copy
from dataclasses import dataclass

import numpy as np

from clm_dagster.simulate.own_numbers import OwnNumbers
from clm_dagster.simulate.parameters import stream
from clm_dagster.simulate.scenario import Scenario


@dataclass(frozen=True)
class Orders:
    """A day's orders, sorted by time. `customer` is an index; guests have the last index of the population."""

    customer: np.ndarray
    portion: np.ndarray  # share of the day's orders placed before this one, 0 to 1
    number: np.ndarray  # of the order in the shop, from 0
    # Of the order among the customer's, from 1; None unless contents are drawn by customer. See `OwnNumbers`.
    of_customer: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True)
class Day:
    """A day's orders, and the orders that were expected of every arrived customer and of guests."""

    number: int
    known: int  # customers who have arrived by the end of the day
    expected: np.ndarray  # (known,) orders, given everything before the day
    expected_guests: float
    orders: Orders


class Purchases:
    """The purchase state of all customers. own_from: the day from which orders are drawn by customer, if any."""

    def __init__(self, scenario: Scenario, own_from: int | None = None) -> None:
        self._own_from = scenario.parameters.days if own_from is None else own_from
        self._parameters, self._population = scenario.parameters, scenario.population
        self._catalogue, self._days, self._future = scenario.catalogue, scenario.days, scenario.future
        count = scenario.population.guest
        self._budget = scenario.population.budget[:count].copy()
        self.order_counts = np.zeros(count, np.int32)
        self.dropped_at = np.full(count, np.nan)
        self.first_order_at = np.full(count, np.nan)
        self._effect = np.zeros(count, np.float32)
        self._effect_until = np.zeros(count, np.int32)
        self._orders = 0

    @property
    def dropped_out(self) -> np.ndarray:
        """Which customers have dropped out, shape (customers,)."""
        dropped: np.ndarray = ~np.isnan(self.dropped_at)
        return dropped

    def copy(self, future: int) -> "Purchases":
        """Return a copy of the state, which goes on with the random numbers of another future."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(other, name, value.copy())
        other._future = future
        return other

    def mail(self, customer: np.ndarray, arm: np.ndarray, day: int) -> None:
        """Apply the effect of a day's mail from the next day on; a later mail replaces it."""
        self._effect[customer] = self._population.effects[customer, arm]
        self._effect_until[customer] = day + 1 + self._parameters.effect_days

    def day(self, number: int) -> Day:
        """Advance all customers by one day and return its orders."""
        population, parameters = self._population, self._parameters
        rng = stream(parameters, "orders", number)
        known = int(np.searchsorted(population.arrived[:-1], number + 1, side="left"))
        before = int(np.searchsorted(population.arrived[:-1], number, side="left"))
        new = np.arange(before, known)
        on_arrival = new[population.orders_on_arrival[new]]
        start = np.maximum(population.arrived[:known] - number, 0.0)
        multiplier = self._rate_multiplier(number, known)
        was_prospect = self.order_counts[:known] == 0
        rate = np.where(was_prospect, parameters.prospect_rate, population.rate[:known])
        rate[on_arrival] = population.rate[on_arrival]
        rate[self.dropped_out[:known]] = 0.0
        hazard = rate * multiplier * (1 - start)
        expected = self._expected(hazard, was_prospect, on_arrival)
        earlier = self.order_counts[:known].copy() if number >= self._own_from else None
        self.order_counts[on_arrival] += 1
        self.first_order_at[on_arrival] = population.arrived[on_arrival]
        customers, portions = [on_arrival], [start[on_arrival]]
        for ordering, portion in self._draw_orders(rng, number, known, hazard, multiplier, start):
            customers.append(ordering)
            portions.append(portion)
        guests = int(rng.poisson(parameters.guest_rate * self._days.level[number]))
        customers.append(np.full(guests, population.guest))
        portions.append(rng.random(guests))
        customer, portion = np.concatenate(customers), np.concatenate(portions)
        order = np.lexsort((customer, portion))
        customer = customer[order]
        of_customer = None if earlier is None else self._numbers_of_customers(number, customer, earlier)
        orders = Orders(customer, portion[order], self._orders + np.arange(len(order)), of_customer)
        self._orders += len(order)
        return Day(number, known, expected, parameters.guest_rate * self._days.level[number], orders)

    def _numbers_of_customers(self, day: int, customer: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """Return the number of each of a day's orders among its customer's; guests' are numbered by day."""
        by_customer = np.argsort(customer, kind="stable")
        grouped = customer[by_customer]
        place = np.empty(len(customer), np.int64)
        place[by_customer] = np.arange(len(customer)) - np.searchsorted(grouped, grouped)
        is_guest = customer == self._population.guest
        before = np.where(is_guest, day << 32, earlier[np.where(is_guest, 0, customer)])
        numbers: np.ndarray = before + place + 1
        return numbers

    def _rate_multiplier(self, number: int, known: int) -> np.ndarray:
        """Return the multiplier of each customer's order rate on a day."""
        multiplier = np.full(known, self._days.level[number])
        if self._parameters.believable:
            available = self._catalogue.available(number)
            strength = float((self._catalogue.discounts(number) * available).sum() / available.sum())
            multiplier *= 1 + self._parameters.sale_pull * strength * self._population.sensitivity[:known]
            acts = self._effect_until[:known] > number
            multiplier[acts] *= np.exp(self._effect[:known][acts])
        return multiplier

    def _expected(self, hazard: np.ndarray, was_prospect: np.ndarray, on_arrival: np.ndarray) -> np.ndarray:
        """Return each customer's expected orders on a day with hazard H and drop-out probability p.

        The formula is (1 - exp(-p H)) / p, because each repeat order ends the customer's life with probability p.
        For a prospect it is 1 - exp(-H): a second order on the day of the first is too rare to count.
        """
        dropout = np.maximum(self._population.dropout[: len(hazard)], 1e-9)
        expected = np.where(was_prospect, 1.0, -np.expm1(-hazard * dropout) / dropout)
        expected[was_prospect] = -np.expm1(-hazard[was_prospect])
        expected[on_arrival] = 1 - np.expm1(-hazard[on_arrival] * dropout[on_arrival]) / dropout[on_arrival]
        return expected

    def _draw_orders(
        self,
        rng: np.random.Generator,
        number: int,
        known: int,
        hazard: np.ndarray,
        multiplier: np.ndarray,
        start: np.ndarray,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (customers, times) of the orders that fall where the day's hazard exceeds a customer's budget.

        Each order draws a new budget. A customer can order several times a day.
        """
        population = self._population
        customer = np.flatnonzero(self._budget[:known] < hazard)
        used, total, begin = self._budget[customer], hazard[customer], start[customer]
        self._budget[:known] -= hazard
        found = []
        while len(customer):
            portion = begin + (1 - begin) * used / total
            found.append((customer, portion))
            first = self.order_counts[customer] == 0
            self.first_order_at[customer[first]] = number + portion[first]
            self.order_counts[customer] += 1
            draws = self._draws(rng, number, customer)
            leaves = ~first & (draws.random(len(customer)) < population.dropout[customer])
            self.dropped_at[customer[leaves]] = number + portion[leaves]
            # After the first order, a prospect continues at their own purchase rate.
            remaining = np.where(
                first, population.rate[customer] * multiplier[customer] * (1 - portion), total - used
            )
            budget = draws.standard_exponential(len(customer))
            self._budget[customer] = np.where(leaves, np.inf, budget - remaining)
            again = ~leaves & (budget < remaining)
            begin, used, total, customer = portion[again], budget[again], remaining[again], customer[again]
        return found

    def _draws(
        self, rng: np.random.Generator, number: int, customer: np.ndarray
    ) -> np.random.Generator | OwnNumbers:
        if number < self._own_from:
            return rng
        return OwnNumbers(self._parameters, "own orders", self._future, customer, self.order_counts[customer])
