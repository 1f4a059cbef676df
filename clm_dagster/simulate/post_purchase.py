"""Returns, reviews and e-mail campaigns.

Belongs here: what follows an order on a later day, and mails with their effects. Does not: the order itself
(`baskets`). The queues hold a few weeks of returns and reviews at most, however long the history is.
"""

from collections import defaultdict

import numpy as np

from clm_dagster.simulate.baskets import Lines
from clm_dagster.simulate.browsing import CLICK, OPEN, RETURN, event_rows
from clm_dagster.simulate.catalogue import Catalogue
from clm_dagster.simulate.own_numbers import OwnNumbers
from clm_dagster.simulate.parameters import ARMS, COUNTRIES, seconds_of_day, stream
from clm_dagster.simulate.population import Population
from clm_dagster.simulate.purchases import Day, Purchases
from clm_dagster.simulate.rows import Rows, size, stack, take
from clm_dagster.simulate.scenario import Scenario
from clm_dagster.simulate.touches import Touches

# Review texts by number of stars; {} is the product.
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


class PostPurchase:
    """Schedule returns and reviews, and run campaigns."""

    def __init__(self, scenario: Scenario, purchases: Purchases, touches: Touches | None = None) -> None:
        self._touches = touches
        self._parameters, self._population = scenario.parameters, scenario.population
        self._catalogue, self._purchases = scenario.catalogue, purchases
        self._future = scenario.future
        self._returns: dict[int, list[Rows]] = defaultdict(list)
        self._reviews: dict[int, list[Rows]] = defaultdict(list)

    def schedule(self, day: Day, lines: Lines) -> None:
        """Draw the returns and reviews that will follow a day's order lines."""
        # The name of a random stream is part of its seed: another name would change the shop's bytes.
        rng = stream(self._parameters, "aftermath", day.number)
        customer = day.orders.customer[lines.order]
        if self._parameters.believable:
            returned = np.flatnonzero(rng.random(len(lines)) < self._parameters.return_rate)
            self._schedule(
                self._returns,
                rng,
                day.number,
                (3, 21),
                {
                    "customer": np.where(customer == self._population.guest, -1, customer)[returned],
                    "order": day.orders.number[lines.order[returned]],
                    "product": lines.product[returned],
                    "quantity": rng.integers(1, lines.quantity[returned] + 1),
                    "price": lines.price[returned],
                },
            )
        reviewed = np.flatnonzero(
            (rng.random(len(lines)) < self._parameters.review_rate) & (customer != self._population.guest)
        )
        self._schedule(
            self._reviews,
            rng,
            day.number,
            (4, 22),
            {"customer": customer[reviewed], "product": lines.product[reviewed]},
        )

    def _schedule(
        self,
        queue: dict[int, list[Rows]],
        rng: np.random.Generator,
        day: int,
        delay: tuple[int, int],
        rows: Rows,
    ) -> None:
        due = day + rng.integers(*delay, size=size(rows))
        for due_day in np.unique(due):
            if due_day < self._parameters.days:
                queue[int(due_day)].append(take(rows, due == due_day))

    def returns(self, day: int) -> Rows:
        """Return the return events of a day."""
        found = self._returns.pop(day, [])
        if not found:
            return event_rows(second=np.zeros(0))
        rows = stack(found)
        at = seconds_of_day(stream(self._parameters, "returns", day).random(size(rows)))
        return event_rows(second=at, type=RETURN, **rows)

    def reviews(self, day: int) -> Rows:
        """Return the reviews of a day: second, customer, product, rating, text."""
        found = self._reviews.pop(day, [])
        if not found:
            return {}
        rows, population = stack(found), self._population
        rng = stream(self._parameters, "reviews", day)
        customer, product, count = rows["customer"], rows["product"], size(rows)
        stars = draw_ratings(self._catalogue, population, customer, product, rng.standard_normal(count))
        variant = rng.integers(3, size=count)
        chinese = population.country[customer] == _CHINA
        texts = [
            (_CHINESE if is_chinese else _ENGLISH)[star][kind].format(self._catalogue.names[item].split()[1])
            for is_chinese, star, kind, item in zip(chinese, stars, variant, product, strict=True)
        ]
        return rows | {
            "second": seconds_of_day(rng.random(count)),
            "rating": stars,
            "text": np.array(texts, dtype=object),
        }

    def is_campaign(self, day: int) -> bool:
        """Return whether a campaign is sent on a day."""
        if self._touches and self._touches.are_sent_on(day):
            return day in self._touches.by_day
        return day % self._parameters.campaign_every == self._parameters.campaign_every - 1

    def campaign(self, day: Day) -> tuple[Rows, Rows, np.ndarray]:
        """Return a day's touches (including the control group), its mail events, and the customers who opt out.

        Arms are assigned at random among the customers who signed up before the day and consent to mail, or are those
        of the planned touches of such customers.
        """
        population = self._population
        customer, arm, rng = self._arms(day.number)
        mailed = arm > 0
        sent = 9 * 3600 + rng.integers(0, 3600, len(customer))
        # A mail that is not opened by midnight stays unopened.
        opened = sent + np.ceil(rng.exponential(4 * 3600, len(customer))).astype(np.int64)
        opens = mailed & (rng.random(len(customer)) < population.opens[customer]) & (opened < 86_000)
        clicks = opens & (rng.random(len(customer)) < 0.2)
        clicked = opened + rng.integers(5, 300, len(customer))
        self._purchases.mail(customer[mailed], arm[mailed], day.number)
        opted_out = customer[mailed & (rng.random(len(customer)) < 0.004)]
        population.consent[opted_out] = False
        touches = {
            "customer": customer,
            "arm": arm,
            "second": sent,
            "opened": np.where(opens, opened, -1),
            "clicked": np.where(clicks, clicked, -1),
        }
        events = stack(
            [
                event_rows(second=opened[opens], customer=customer[opens], type=OPEN),
                event_rows(second=clicked[clicks], customer=customer[clicks], type=CLICK),
            ]
        )
        return touches, events, opted_out

    def _arms(self, day: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator | OwnNumbers]:
        """Return who is in a campaign, their arms, and the random numbers of its mails."""
        population = self._population
        known = int(np.searchsorted(population.arrived[:-1], day))
        if self._touches and self._touches.are_sent_on(day):
            customer, arm = self._touches.by_day[day]
            may = (customer < known) & population.consent[customer]
            return (
                customer[may],
                arm[may],
                OwnNumbers(self._parameters, "own mails", self._future, customer[may], day),
            )
        rng = stream(self._parameters, "campaign", day)
        customer = np.flatnonzero(population.consent[:known])
        return customer, rng.integers(len(ARMS), size=len(customer)), rng


def draw_ratings(
    catalogue: Catalogue, population: Population, customer: np.ndarray, product: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Return ratings of 1 to 5 stars from the product's quality, its fit to the customer's taste, and noise."""
    fit = population.tastes[customer, catalogue.category[product]] * population.tastes.shape[1]
    value = 3.7 + 0.8 * catalogue.quality[product] + 0.5 * np.tanh(fit - 1) + 0.6 * noise
    ratings: np.ndarray = np.clip(np.round(value), 1, 5).astype(np.int64)
    return ratings
