"""Many futures of one simulated shop from a day on, in memory: orders only, without files.

Belongs here: margins after a mail. Does not: policies, files of a shop (`shop`).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clm_dagster.simulate.baskets import Baskets
from clm_dagster.simulate.parameters import Parameters
from clm_dagster.simulate.post_purchase import PostPurchase
from clm_dagster.simulate.purchases import Purchases
from clm_dagster.simulate.scenario import Scenario

Floats = NDArray[np.float64]


class Futures:
    """A shop until a day. first: the day of a mail, whose orders are the first that a future draws."""

    def __init__(self, parameters: Parameters, first: int) -> None:
        self._scenario, self._first = Scenario.build(parameters), first
        self._purchases = Purchases(self._scenario, first)
        campaigns = PostPurchase(self._scenario, self._purchases)
        for day in range(first):
            today = self._purchases.day(day)
            if campaigns.is_campaign(day):
                campaigns.campaign(today)

    def go_on(self, customers: NDArray[np.int64], arm: int, days: int, futures: Sequence[int]) -> Floats:
        """Return the margin and the value of the first order of all customers, shape (2, customers), mean of futures.

        customers: numbers of those who get a mail of this arm on the first day. days: that count, from the first on.
        """
        return np.asarray(np.mean([self._one(customers, arm, days, future) for future in futures], axis=0))

    def _one(self, customers: NDArray[np.int64], arm: int, days: int, future: int) -> Floats:
        scenario = replace(self._scenario, future=future)
        purchases, baskets, catalogue = self._purchases.copy(future), Baskets(scenario), scenario.catalogue
        count = scenario.population.guest
        margin, first_order = np.zeros(count + 1), np.full(count + 1, np.nan)
        for day in range(self._first, self._first + days):
            orders = purchases.day(day).orders
            if day == self._first and arm > 0:
                purchases.mail(customers, np.full(len(customers), arm), day)
            lines = baskets.lines(day, orders, baskets.assortment(day))
            earned = lines.quantity * (lines.price - catalogue.cost[lines.product])
            margin += np.bincount(orders.customer[lines.order], earned, minlength=count + 1)
            worth = np.bincount(lines.order, lines.quantity * lines.price, minlength=len(orders))
            # Backwards, so that the earliest of a day's orders stays.
            seen, place = orders.customer[::-1], worth[::-1]
            today = np.full(count + 1, np.nan)
            today[seen] = place
            first_order = np.where(np.isnan(first_order), today, first_order)
        return np.stack([margin, np.nan_to_num(first_order)])[:, :count]
