"""The generative model of the simulated shop: every formula and every parameter, in one place.

Belongs here: the definition of the model. Does not: drawing from it (`population`, `catalogue`, `purchases`,
`baskets`, `browsing`), delivery faults (`faults`), writing files (`writing`).

Time is measured in days since the shop's first midnight. For customer i, product p and day d:

    arrival     customer i of N arrives at the (i + U)/N quantile of the arrival intensity. They order
                on arrival with a probability that depends on their channel. Otherwise they are a
                prospect, who places a first order at the rate `prospect_rate`
    rate        lambda_i ~ Gamma(rate_shape r, rate_days alpha): orders per day of an active customer
    dropout     after each repeat order the customer leaves for good with p_i ~ Beta(dropout_a, dropout_b)
    hazard      h_id = lambda_i * level_d * (1 + sale_pull * s_i * strength_d) * exp(effect of an e-mail);
                the customer orders when their cumulative hazard passes an Exponential(1) draw
    spend       the value of order j is z_ij ~ Gamma(spend_p, nu_i), nu_i ~ Gamma(spend_q, spend_gamma)
    lines       1 + Poisson(extra_lines) lines per order. Each is a favourite (loyalty), a promoted product
                (price sensitivity s_i), or a product of a category drawn from the season (season_share) or
                from the customer's taste. With probability `complement`, each line after the first is the
                partner product of the line before
    quantity    1 + Poisson(z_ij / E[z] * appetite_p)
    taste       Dirichlet(concentration * centre of the customer's taste group) over categories
    level_d     trend * weekday * season of the year, each with mean 1

In the world `stationary`, level is 1, there are no promotions or returns, e-mails have no effect, and unit prices
are scaled so that the value of an order is z_ij. BG/NBD (Fader, Hardie and Lee 2005) and Gamma-Gamma (Fader and
Hardie 2013) are then the true models. In the world `believable`, prices come from the catalogue and spend follows
from them.
"""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

BELIEVABLE, STATIONARY = "believable", "stationary"
WORLDS = (BELIEVABLE, STATIONARY)

CATEGORIES = (
    "home",
    "kitchen",
    "garden",
    "toys",
    "books",
    "beauty",
    "sports",
    "fashion",
    "electronics",
    "food",
)
COUNTRIES = ("GB", "DE", "FR", "NL", "US", "CN")
COUNTRY_SHARES = (0.42, 0.17, 0.12, 0.09, 0.08, 0.12)
CHANNELS = ("organic", "paid_search", "social", "referral", "marketplace")
CHANNEL_SHARES = (0.34, 0.26, 0.18, 0.12, 0.10)
# Share of a channel's customers who order on arrival.
CHANNEL_CONVERSION = (0.82, 0.74, 0.66, 0.86, 0.90)
# Arms of every campaign, of equal size; the first receives no mail.
ARMS = ("control", "discount", "news")

# The categories each taste group prefers; the other categories share the remaining weight.
GROUP_FOCUS = ((0, 1), (3, 4), (5, 7), (6, 2), (8, 9))
# Relative order volume by hour of the day: low at night, highest in the evening.
HOURS = (
    1.2,
    0.7,
    0.4,
    0.3,
    0.3,
    0.6,
    1.4,
    2.6,
    3.8,
    4.8,
    5.4,
    5.6,
    5.8,
    5.4,
    5.2,
    5.0,
    5.0,
    5.2,
    5.8,
    6.8,
    7.4,
    7.0,
    5.4,
    2.9,
)


@dataclass(frozen=True)
class Parameters:
    """The shop's size, its world and its true parameters. Rates are per day; money is in euros."""

    world: str = BELIEVABLE
    seed: int = 0
    customers: int = 20_000
    days: int = 548
    products: int = 400
    start: date = date(2024, 1, 1)

    rate_shape: float = 0.7
    rate_days: float = 55.0
    dropout_a: float = 1.0
    dropout_b: float = 3.5
    prospect_rate: float = 0.002
    spend_p: float = 6.25
    spend_q: float = 3.74
    spend_gamma: float = 20.0

    extra_lines: float = 1.2
    loyalty: float = 0.25
    complement: float = 0.3
    concentration: float = 6.0
    focus: float = 0.7
    season_share: float = 0.2
    favourites: int = 3

    guest_share: float = 0.06
    return_rate: float = 0.05
    review_rate: float = 0.05
    # Visits without an order: by active customers, by customers who dropped out, and by anonymous visitors.
    browsing: float = 0.12
    ghost_browsing: float = 0.15
    unknown_visits: float = 0.15
    views: float = 0.4
    cart: float = 0.08

    campaign_every: int = 21
    effect_days: int = 10
    effect_positive: float = 0.5
    effect_negative: float = -0.4
    sale_pull: float = 4.0

    late: float = 0.015
    corrected: float = 0.004
    phantom: float = 0.002
    repeated: float = 0.003
    longest_delay: int = 14
    dirty_every: int = 28
    # Share of people with several ids, see `aliases`.
    aliases: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for parameters outside their range."""
        if self.world not in WORLDS:
            raise ValueError(f"world is {self.world!r}; expected one of {', '.join(WORLDS)}")
        for name in ("customers", "days", "products"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if not 0 <= self.aliases <= 1:
            raise ValueError(f"aliases is {self.aliases}; expected a share from 0 to 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; expected 0 or a positive integer")

    @property
    def believable(self) -> bool:
        """Whether the shop has seasons, a trend, promotions, returns and e-mail effects."""
        return self.world == BELIEVABLE

    @property
    def end(self) -> date:
        """The exclusive end of the shop's days."""
        return self.start + timedelta(days=self.days)

    @property
    def categories(self) -> tuple[str, ...]:
        """The product categories; a small shop has fewer."""
        return CATEGORIES[: max(1, min(len(CATEGORIES), self.products // 4))]

    @property
    def mean_spend(self) -> float:
        """E[z], the mean order value over customers: p gamma / (q - 1)."""
        return self.spend_p * self.spend_gamma / (self.spend_q - 1)

    @property
    def guest_rate(self) -> float:
        """Guest orders per day at level 1: `guest_share` of the arrivals, with about one repeat order each."""
        return self.guest_share * 2 * self.customers / self.days

    def as_json(self) -> dict[str, Any]:
        """Return every parameter in the format of `truth/parameters.json`; without `aliases` if there are none."""
        found = asdict(self) | {"start": str(self.start), "end": str(self.end)}
        if not self.aliases:
            del found["aliases"]
        return found


def stream(parameters: Parameters, name: str, *keys: int) -> np.random.Generator:
    """Return the random generator of one purpose and day (or block), independent of every other generator.

    `name` is part of the seed: renaming a stream changes the bytes of every simulated shop.
    """
    return np.random.default_rng([parameters.seed, *name.encode(), *keys])


@dataclass(frozen=True)
class Calendar:
    """Multipliers by day, of shape (days,) unless noted."""

    level: np.ndarray  # of every hazard
    arrivals: np.ndarray  # of the arrival intensity
    seasonal: np.ndarray  # (days, categories): seasonal category shares, rows sum to 1


def calendar(parameters: Parameters) -> Calendar:
    """Return the weekly and yearly patterns of the shop; they are flat in the stationary world."""
    days, categories = np.arange(parameters.days), len(parameters.categories)
    if not parameters.believable:
        flat = np.ones(parameters.days)
        return Calendar(flat, flat, np.full((parameters.days, categories), 1 / categories))
    weekday = np.array([1.05, 1.0, 0.97, 1.0, 1.08, 0.86, 1.04])[(days + parameters.start.weekday()) % 7]
    day_of_year = (days + parameters.start.timetuple().tm_yday - 1) % 365.25
    # A yearly cosine wave, plus a peak in the weeks before Christmas that ends on the 23rd.
    advent = np.exp(-0.5 * ((day_of_year - 340) / 16) ** 2) * (day_of_year < 357)
    season = (1 + 0.12 * np.cos(2 * np.pi * (day_of_year - 330) / 365.25) + 0.75 * advent) / 1.08
    trend = np.exp(0.2 * (days - parameters.days / 2) / 365.25)
    peaks = np.linspace(0, 365.25, categories, endpoint=False)
    closeness = np.cos(2 * np.pi * (day_of_year[:, None] - peaks[None, :]) / 365.25)
    seasonal = np.exp(2.0 * closeness)
    return Calendar(
        level=trend * weekday * season,
        arrivals=np.exp(0.35 * (days - parameters.days / 2) / 365.25) * season * weekday,
        seasonal=seasonal / seasonal.sum(axis=1, keepdims=True),
    )


def seconds_of_day(portion: np.ndarray) -> np.ndarray:
    """Return the second of the day at which a share of the day's orders is reached; monotone in `portion`."""
    cumulative = np.concatenate([[0.0], np.cumsum(HOURS)]) / np.sum(HOURS)
    seconds: np.ndarray = np.minimum(np.interp(portion, cumulative, np.arange(25) * 3600.0), 86_399.0).astype(
        np.int64
    )
    return seconds
