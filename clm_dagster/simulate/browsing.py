"""A day's sessions in the shop: visits, views, carts, and the orders that some sessions end with.

Belongs here: the events of a day as they happen. Does not: the timing of orders (`purchases`), or the events
that follow them (`post_purchase`).
"""

import numpy as np

from clm_dagster.simulate.baskets import Assortment, Baskets, Lines
from clm_dagster.simulate.parameters import seconds_of_day, stream
from clm_dagster.simulate.purchases import Day, Purchases
from clm_dagster.simulate.rows import Rows, stack
from clm_dagster.simulate.scenario import Scenario

TYPES = (
    "visit",
    "view",
    "add_to_cart",
    "purchase",
    "return",
    "gift",
    "charge",
    "charge_refund",
    "email_open",
    "email_click",
)
VISIT, VIEW, CART, PURCHASE, RETURN, GIFT, CHARGE, REFUND, OPEN, CLICK = range(len(TYPES))
NONE, POSTAGE = -1, -2  # no product; the postage charge
POSTAGE_PRICE, FREE_FROM, GIFT_FROM = 3.95, 40.0, 120.0
_LAST_SECOND = 86_399
# The smallest types that fit, since most of a large day's time is spent copying these arrays.
COLUMNS = {
    "second": np.int32,
    "customer": np.int32,
    "type": np.int8,
    "order": np.int64,
    "product": np.int32,
    "quantity": np.int32,
    "price": np.float64,
    "session": np.int32,
}


def event_rows(**columns: np.ndarray | float) -> Rows:
    """Return events of a day; columns that are not given are -1: no customer, order, product, session or amount."""
    length = len(np.atleast_1d(columns["second"]))
    return {
        name: np.broadcast_to(np.asarray(columns.get(name, -1), kind), length)
        for name, kind in COLUMNS.items()
    }


class Browsing:
    """Draw a day's sessions."""

    def __init__(self, scenario: Scenario, baskets: Baskets, purchases: Purchases) -> None:
        self._parameters, self._population, self._days = (
            scenario.parameters,
            scenario.population,
            scenario.days,
        )
        self._baskets, self._purchases = baskets, purchases

    def events(self, day: Day, lines: Lines, assortment: Assortment) -> Rows:
        """Return all events of a day's sessions, with the sessions that end with an order first."""
        rng = stream(self._parameters, "browsing", day.number)
        visitors = self._draw_visitors(rng, day)
        customer = np.concatenate([day.orders.customer, visitors])
        second = np.concatenate(
            [seconds_of_day(day.orders.portion), seconds_of_day(rng.random(len(visitors)))]
        )
        orders = len(day.orders)
        known = np.where(customer == self._population.guest, -1, customer)
        # A session that ends with an order starts some minutes before the order.
        start = np.maximum(
            second - np.where(np.arange(len(second)) < orders, rng.integers(60, 1500, len(second)), 0), 0
        )
        parts = [event_rows(second=start, customer=known, type=VISIT, session=np.arange(len(customer)))]
        order = lines.order
        for kind, share in ((VIEW, 0.45), (CART, 0.85)):
            at = start[order] + ((second - start)[order] * share).astype(np.int64)
            at = np.minimum(at + lines.position, second[order])
            parts.append(
                event_rows(second=at, customer=known[order], type=kind, product=lines.product, session=order)
            )
        parts += self._browsing_events(rng, customer, known, second, orders, assortment)
        parts += self._order_events(day, lines, known, second)
        return stack(parts)

    def _draw_visitors(self, rng: np.random.Generator, day: Day) -> np.ndarray:
        """Return the customers of sessions without an order, possibly repeated; anonymous visitors count as guests."""
        parameters, level = self._parameters, self._days.level[day.number]
        visit_rates = self._population.browsing[: day.known].astype(float)
        visit_rates[self._purchases.dropped_out[: day.known]] *= parameters.ghost_browsing
        cumulative = np.cumsum(visit_rates * level)
        total = cumulative[-1] if day.known else 0.0
        visits = np.searchsorted(cumulative, rng.random(rng.poisson(total)) * total, side="right")
        anonymous = rng.poisson(
            parameters.unknown_visits * parameters.browsing * parameters.customers * level / 2
        )
        visits = np.minimum(visits, max(day.known - 1, 0))
        return np.concatenate([visits, np.full(anonymous, self._population.guest)])

    def _browsing_events(
        self,
        rng: np.random.Generator,
        customer: np.ndarray,
        known: np.ndarray,
        second: np.ndarray,
        orders: int,
        assortment: Assortment,
    ) -> list[Rows]:
        """Return views without a purchase, and abandoned carts."""
        count = rng.poisson(self._parameters.views, len(customer))
        session = np.repeat(np.arange(len(customer)), count)
        product = self._baskets.draw_products(rng, customer[session], assortment)
        at = np.minimum(second[session] + rng.integers(5, 900, len(session)), _LAST_SECOND)
        # In a session that ends with an order, these views happen before the order.
        at = np.where(session < orders, second[session], at)
        abandoned = rng.random(len(session)) < self._parameters.cart
        return [
            event_rows(second=at, customer=known[session], type=VIEW, product=product, session=session),
            event_rows(
                second=np.minimum(at[abandoned] + 20, _LAST_SECOND),
                customer=known[session[abandoned]],
                type=CART,
                product=product[abandoned],
                session=session[abandoned],
            ),
        ]

    def _order_events(self, day: Day, lines: Lines, known: np.ndarray, second: np.ndarray) -> list[Rows]:
        """Return purchases, with postage for small orders and a gift for large ones."""
        order = lines.order
        order_value = np.bincount(order, lines.quantity * lines.price, minlength=len(day.orders))
        purchases = event_rows(
            second=second[order],
            customer=known[order],
            type=PURCHASE,
            order=day.orders.number[order],
            product=lines.product,
            quantity=lines.quantity,
            price=lines.price,
            session=order,
        )
        if not self._parameters.believable:
            return [purchases]
        small, large = np.flatnonzero(order_value < FREE_FROM), np.flatnonzero(order_value >= GIFT_FROM)
        postage = event_rows(
            second=second[small],
            customer=known[small],
            type=CHARGE,
            order=day.orders.number[small],
            product=POSTAGE,
            quantity=1,
            price=POSTAGE_PRICE,
            session=small,
        )
        gift = event_rows(
            second=second[large],
            customer=known[large],
            type=GIFT,
            order=day.orders.number[large],
            product=0,
            quantity=1,
            price=0.0,
            session=large,
        )
        return [purchases, postage, gift]
