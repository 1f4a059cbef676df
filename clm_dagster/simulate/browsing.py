"""What people do in the shop: visits, views, carts, and the orders some of them end with.

Belongs here: a day's events in the shop, as they happened. Does not: when orders fall (`purchases`), what comes
after them (`aftermath`).
"""

import numpy as np

from clm_dagster.simulate.baskets import Baskets, Lines, Shelf
from clm_dagster.simulate.parameters import seconds_of_day, stream
from clm_dagster.simulate.purchases import Day, Purchases
from clm_dagster.simulate.rows import Rows, stack
from clm_dagster.simulate.scene import Scene

TYPES = (
    "visit", "view", "add_to_cart", "purchase", "return", "gift", "charge", "charge_refund", "email_open",
    "email_click",
)  # fmt: skip
VISIT, VIEW, CART, PURCHASE, RETURN, GIFT, CHARGE, REFUND, OPEN, CLICK = range(len(TYPES))
NONE, POSTAGE = -1, -2  # no product; the charge for sending it
POSTAGE_PRICE, FREE_FROM, GIFT_FROM = 3.95, 40.0, 120.0
_LAST_SECOND = 86_399
# As small as they can be: most of a large day's time goes into moving them.
COLUMNS = {
    "second": np.int32, "customer": np.int32, "type": np.int8, "order": np.int64, "product": np.int32,
    "quantity": np.int32, "price": np.float64, "session": np.int32,
}  # fmt: skip


def event_rows(**columns: np.ndarray | float) -> Rows:
    """Events of a day; what is not given of them is -1: no customer, order, product, session or amount."""
    length = len(np.atleast_1d(columns["second"]))
    return {
        name: np.broadcast_to(np.asarray(columns.get(name, -1), kind), length)
        for name, kind in COLUMNS.items()
    }


class Browsing:
    """Draws a day's sessions."""

    def __init__(self, scene: Scene, baskets: Baskets, purchases: Purchases) -> None:
        self._parameters, self._population, self._days = scene.parameters, scene.population, scene.days
        self._baskets, self._purchases = baskets, purchases

    def events(self, day: Day, lines: Lines, shelf: Shelf) -> Rows:
        """Every event of a day's sessions, sessions that end with an order first."""
        rng = stream(self._parameters, "browsing", day.number)
        looking = self._lookers(rng, day)
        customer = np.concatenate([day.orders.customer, looking])
        second = np.concatenate(
            [seconds_of_day(day.orders.portion), seconds_of_day(rng.random(len(looking)))]
        )
        orders = len(day.orders)
        known = np.where(customer == self._population.guest, -1, customer)
        # A session that ends with an order begins some minutes before it.
        came = np.maximum(
            second - np.where(np.arange(len(second)) < orders, rng.integers(60, 1500, len(second)), 0), 0
        )
        parts = [event_rows(second=came, customer=known, type=VISIT, session=np.arange(len(customer)))]
        ordered = lines.order
        for kind, share in ((VIEW, 0.45), (CART, 0.85)):
            at = came[ordered] + ((second - came)[ordered] * share).astype(np.int64)
            at = np.minimum(at + lines.position, second[ordered])
            parts.append(
                event_rows(
                    second=at, customer=known[ordered], type=kind, product=lines.product, session=ordered
                )
            )
        parts += self._looked(rng, customer, known, second, orders, shelf)
        parts += self._bought(day, lines, known, second)
        return stack(parts)

    def _lookers(self, rng: np.random.Generator, day: Day) -> np.ndarray:
        """Who visits without an order; one visit may come twice a day. Unknown people count as guests."""
        parameters, level = self._parameters, self._days.level[day.number]
        keen = self._population.browsing[: day.known].astype(float)
        keen[self._purchases.gone[: day.known]] *= parameters.ghost_browsing
        running = np.cumsum(keen * level)
        total = running[-1] if day.known else 0.0
        visits = np.searchsorted(running, rng.random(rng.poisson(total)) * total, side="right")
        strangers = rng.poisson(
            parameters.unknown_visits * parameters.browsing * parameters.customers * level / 2
        )
        visits = np.minimum(visits, max(day.known - 1, 0))
        return np.concatenate([visits, np.full(strangers, self._population.guest)])

    def _looked(
        self,
        rng: np.random.Generator,
        customer: np.ndarray,
        known: np.ndarray,
        second: np.ndarray,
        orders: int,
        shelf: Shelf,
    ) -> list[Rows]:
        """Views that led to nothing, and carts that were left."""
        count = rng.poisson(self._parameters.views, len(customer))
        session = np.repeat(np.arange(len(customer)), count)
        product = self._baskets.pick(rng, customer[session], shelf)
        at = np.minimum(second[session] + rng.integers(5, 900, len(session)), _LAST_SECOND)
        # In a session that ends with an order they come before it.
        at = np.where(session < orders, second[session], at)
        left = rng.random(len(session)) < self._parameters.cart
        return [
            event_rows(second=at, customer=known[session], type=VIEW, product=product, session=session),
            event_rows(
                second=np.minimum(at[left] + 20, _LAST_SECOND), customer=known[session[left]], type=CART,
                product=product[left], session=session[left],
            ),
        ]  # fmt: skip

    def _bought(self, day: Day, lines: Lines, known: np.ndarray, second: np.ndarray) -> list[Rows]:
        """Lines of orders; postage below a worth, a gift above another."""
        order = lines.order
        worth = np.bincount(order, lines.quantity * lines.price, minlength=len(day.orders))
        bought = event_rows(
            second=second[order], customer=known[order], type=PURCHASE, order=day.orders.number[order],
            product=lines.product, quantity=lines.quantity, price=lines.price, session=order,
        )  # fmt: skip
        if not self._parameters.believable:
            return [bought]
        small, grand = np.flatnonzero(worth < FREE_FROM), np.flatnonzero(worth >= GIFT_FROM)
        postage = event_rows(
            second=second[small], customer=known[small], type=CHARGE, order=day.orders.number[small],
            product=POSTAGE, quantity=1, price=POSTAGE_PRICE, session=small,
        )  # fmt: skip
        gift = event_rows(
            second=second[grand], customer=known[grand], type=GIFT, order=day.orders.number[grand],
            product=0, quantity=1, price=0.0, session=grand,
        )  # fmt: skip
        return [bought, postage, gift]
