"""What comes of an order later, and of a campaign: returns, reviews, mails, objections.

Belongs here: everything that waits for its day. Does not: the order itself (`baskets`). What waits is at most a
few weeks of it, however long the history.
"""

from collections import defaultdict

import numpy as np

from clm_dagster.simulate.baskets import Lines
from clm_dagster.simulate.browsing import CLICK, OPEN, RETURN, event_rows
from clm_dagster.simulate.catalogue import Catalogue
from clm_dagster.simulate.parameters import ARMS, COUNTRIES, seconds_of_day, stream
from clm_dagster.simulate.population import Population
from clm_dagster.simulate.purchases import Day, Purchases
from clm_dagster.simulate.rows import Rows, size, stack, take
from clm_dagster.simulate.scene import Scene

# Stars, then what a customer says of them; {} is the product.
_ENGLISH = {
    1: (
        "The {} broke within a week. Very poor.",
        "Nothing like the picture, I sent the {} back.",
        "Waste of money.",
    ),
    2: (
        "The {} feels cheap and does not suit me.",
        "Disappointed, expected more of this {}.",
        "Not good enough.",
    ),
    3: (
        "The {} is all right for the price.",
        "It does what it should, no more.",
        "Average {}, slow delivery.",
    ),
    4: ("Nice {}, I would buy it again.", "Good quality, just what I needed.", "Happy with the {}."),
    5: (
        "I love this {}, perfect in every way!",
        "Excellent quality, a wonderful gift.",
        "The best {} I have had.",
    ),
}
_CHINESE = {
    1: ("质量太差了，用了一周就坏了。", "和图片完全不一样，退货了。", "浪费钱，不推荐。"),
    2: ("做工粗糙，不太适合我。", "有点失望，没有想象中好。", "不够好，不会再买。"),
    3: ("还可以，对得起这个价格。", "一般般，物流有点慢。", "能用，没有惊喜。"),
    4: ("不错，下次还会买。", "质量很好，正是我需要的。", "挺满意的。"),
    5: ("非常喜欢，完美！", "质量非常好，送人很合适。", "买过最好的，强烈推荐！"),
}
_CHINA = COUNTRIES.index("CN")
MAIL_COST = 0.05


class Aftermath:
    """Returns and reviews that are still to come, and campaigns."""

    def __init__(self, scene: Scene, purchases: Purchases) -> None:
        self._parameters, self._population = scene.parameters, scene.population
        self._catalogue, self._purchases = scene.catalogue, purchases
        self._returns: dict[int, list[Rows]] = defaultdict(list)
        self._reviews: dict[int, list[Rows]] = defaultdict(list)

    def follow(self, day: Day, lines: Lines) -> None:
        """Decide what will come of a day's lines."""
        rng = stream(self._parameters, "aftermath", day.number)
        customer = day.orders.customer[lines.order]
        if self._parameters.believable:
            back = np.flatnonzero(rng.random(len(lines)) < self._parameters.return_rate)
            self._later(
                self._returns, rng, day.number, (3, 21),
                {
                    "customer": np.where(customer == self._population.guest, -1, customer)[back],
                    "order": day.orders.number[lines.order[back]],
                    "product": lines.product[back],
                    "quantity": rng.integers(1, lines.quantity[back] + 1),
                    "price": lines.price[back],
                },
            )  # fmt: skip
        wrote = np.flatnonzero(
            (rng.random(len(lines)) < self._parameters.review_rate) & (customer != self._population.guest)
        )
        self._later(
            self._reviews, rng, day.number, (4, 22),
            {"customer": customer[wrote], "product": lines.product[wrote]},
        )  # fmt: skip

    def _later(
        self,
        waiting: dict[int, list[Rows]],
        rng: np.random.Generator,
        day: int,
        delay: tuple[int, int],
        rows: Rows,
    ) -> None:
        due = day + rng.integers(*delay, size=size(rows))
        for when in np.unique(due):
            if when < self._parameters.days:
                waiting[int(when)].append(take(rows, due == when))

    def returns(self, day: int) -> Rows:
        """Products that come back on a day."""
        found = self._returns.pop(day, [])
        if not found:
            return event_rows(second=np.zeros(0))
        rows = stack(found)
        at = seconds_of_day(stream(self._parameters, "returns", day).random(size(rows)))
        return event_rows(second=at, type=RETURN, **rows)

    def reviews(self, day: int) -> Rows:
        """Reviews of a day: second, customer, product, rating, text."""
        found = self._reviews.pop(day, [])
        if not found:
            return {}
        rows, population = stack(found), self._population
        rng = stream(self._parameters, "reviews", day)
        customer, product, count = rows["customer"], rows["product"], size(rows)
        stars = stars_of(self._catalogue, population, customer, product, rng.standard_normal(count))
        variant = rng.integers(3, size=count)
        chinese = population.country[customer] == _CHINA
        texts = [
            (_CHINESE if zh else _ENGLISH)[star][kind].format(self._catalogue.names[item].split()[1])
            for zh, star, kind, item in zip(chinese, stars, variant, product, strict=True)
        ]
        return rows | {
            "second": seconds_of_day(rng.random(count)), "rating": stars, "text": np.array(texts, dtype=object),
        }  # fmt: skip

    def is_campaign(self, day: int) -> bool:
        """Whether mails are sent on a day."""
        return day % self._parameters.campaign_every == self._parameters.campaign_every - 1

    def campaign(self, day: Day) -> tuple[Rows, Rows, np.ndarray]:
        """Mails of a day: touches (control group included), mail events, and who objects to further mail.

        Arms are drawn at random among all who had signed up before the day and may be mailed.
        """
        rng, population = stream(self._parameters, "campaign", day.number), self._population
        known = int(np.searchsorted(population.arrived[:-1], day.number))
        customer = np.flatnonzero(population.consent[:known])
        arm = rng.integers(len(ARMS), size=len(customer))
        mailed = arm > 0
        sent = 9 * 3600 + rng.integers(0, 3600, len(customer))
        # A mail that is not opened before midnight never is.
        opened = sent + np.ceil(rng.exponential(4 * 3600, len(customer))).astype(np.int64)
        opens = mailed & (rng.random(len(customer)) < population.opens[customer]) & (opened < 86_000)
        clicks = opens & (rng.random(len(customer)) < 0.2)
        clicked = opened + rng.integers(5, 300, len(customer))
        self._purchases.mail(customer[mailed], arm[mailed], day.number)
        objects = customer[mailed & (rng.random(len(customer)) < 0.004)]
        population.consent[objects] = False
        touches = {
            "customer": customer, "arm": arm, "second": sent,
            "opened": np.where(opens, opened, -1), "clicked": np.where(clicks, clicked, -1),
        }  # fmt: skip
        events = stack(
            [
                event_rows(second=opened[opens], customer=customer[opens], type=OPEN),
                event_rows(second=clicked[clicks], customer=customer[clicks], type=CLICK),
            ]
        )
        return touches, events, objects


def stars_of(
    catalogue: Catalogue, population: Population, customer: np.ndarray, product: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Stars, 1 to 5: the product's quality, its fit to the customer's taste, and chance."""
    fit = population.tastes[customer, catalogue.category[product]] * population.tastes.shape[1]
    value = 3.7 + 0.8 * catalogue.quality[product] + 0.5 * np.tanh(fit - 1) + 0.6 * noise
    return np.clip(np.round(value), 1, 5).astype(np.int64)
