"""The generative model of the simulated shop: every formula and every parameter, in one place.

Belongs here: what the shop is like. Does not: drawing from it (`population`, `catalogue`, `purchases`,
`baskets`, `browsing`), what goes wrong on the way to the warehouse (`faults`), files (`writing`).

Time is in days since the shop's first midnight. For customer i, product p and day d:

    arrival     the i-th of N customers comes at the (i + U)/N quantile of the arrival intensity;
                at once he orders with a probability of his channel's, else he is a prospect who
                orders for the first time at the rate `prospect_rate`
    rate        lambda_i ~ Gamma(rate_shape r, rate_days alpha): orders a day while he is a customer
    dropout     after each repeat order he leaves for good with p_i ~ Beta(dropout_a, dropout_b)
    hazard      h_id = lambda_i * level_d * (1 + sale_pull * s_i * strength_d) * exp(effect of an e-mail)
                an order falls where his summed hazard passes an Exponential(1)
    spend       order j is worth z_ij ~ Gamma(spend_p, nu_i), nu_i ~ Gamma(spend_q, spend_gamma)
    lines       1 + Poisson(extra_lines) of them; each is a favourite (loyalty), a promoted product
                (his price sensitivity s_i), a category of the season (season_share) or of his taste;
                each after the first is, with probability `complement`, what goes with the line before
    quantity    1 + Poisson(z_ij / E[z] * appetite_p)
    taste       Dirichlet(concentration * centre of his taste group) over categories
    level_d     trend * weekday * season of the year, each with mean 1

In the world `stationary` level is 1, there are no promotions and returns, e-mails have no effect, and unit prices are
scaled so that an order is worth z_ij: there BG/NBD (Fader, Hardie and Lee 2005) and Gamma-Gamma (Fader and
Hardie 2013) are the truth. In `believable` prices are the catalogue's, and spend follows from them.
"""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

BELIEVABLE, STATIONARY = "believable", "stationary"
WORLDS = (BELIEVABLE, STATIONARY)

CATEGORIES = (
    "home", "kitchen", "garden", "toys", "books", "beauty", "sports", "fashion", "electronics", "food",
)  # fmt: skip
COUNTRIES = ("GB", "DE", "FR", "NL", "US", "CN")
COUNTRY_SHARES = (0.42, 0.17, 0.12, 0.09, 0.08, 0.12)
CHANNELS = ("organic", "paid_search", "social", "referral", "marketplace")
CHANNEL_SHARES = (0.34, 0.26, 0.18, 0.12, 0.10)
# Share of those who sign up by a channel that order at once.
CHANNEL_CONVERSION = (0.82, 0.74, 0.66, 0.86, 0.90)
# Arms of every campaign, in equal parts; the first gets no mail.
ARMS = ("control", "discount", "news")

# Which category each taste group leans to; a group's other categories share what is left.
GROUP_FOCUS = ((0, 1), (3, 4), (5, 7), (6, 2), (8, 9))
# Orders by hour of the day, a web shop's: few at night, most in the evening.
HOURS = (
    1.2, 0.7, 0.4, 0.3, 0.3, 0.6, 1.4, 2.6, 3.8, 4.8, 5.4, 5.6, 5.8, 5.4, 5.2, 5.0, 5.0, 5.2, 5.8, 6.8, 7.4, 7.0,
    5.4, 2.9,
)  # fmt: skip


@dataclass(frozen=True)
class Parameters:
    """The shop's size, its world and its truth. Rates are a day, money is in euro."""

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
    # Visits that lead to no order, of a customer, of one who has left, and of people unknown.
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

    def __post_init__(self) -> None:
        """Raise ValueError for what is no shop."""
        if self.world not in WORLDS:
            raise ValueError(f"world is {self.world!r}; expected one of {', '.join(WORLDS)}")
        for name in ("customers", "days", "products"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; expected a whole number from 0")

    @property
    def believable(self) -> bool:
        """Whether season, trend, promotions, returns and effects of e-mails are there."""
        return self.world == BELIEVABLE

    @property
    def end(self) -> date:
        """The exclusive end of the shop's days."""
        return self.start + timedelta(days=self.days)

    @property
    def categories(self) -> tuple[str, ...]:
        """The shelves; a small shop has fewer."""
        return CATEGORIES[: max(1, min(len(CATEGORIES), self.products // 4))]

    @property
    def mean_spend(self) -> float:
        """E[z], the mean worth of an order over customers: p gamma / (q - 1)."""
        return self.spend_p * self.spend_gamma / (self.spend_q - 1)

    @property
    def guest_rate(self) -> float:
        """Orders of guests on a day of level 1: a share of the arrivals', and of about one repeat order each."""
        return self.guest_share * 2 * self.customers / self.days

    def as_json(self) -> dict[str, Any]:
        """Every parameter, as `truth/parameters.json` keeps it."""
        return asdict(self) | {"start": str(self.start), "end": str(self.end)}


def stream(parameters: Parameters, name: str, *keys: int) -> np.random.Generator:
    """The random numbers of one purpose, day or block: the same whoever asks, whenever, beside whatever else."""
    return np.random.default_rng([parameters.seed, *name.encode(), *keys])


@dataclass(frozen=True)
class Calendar:
    """Multipliers by day, shape (days,) unless said."""

    level: np.ndarray  # of every hazard
    arrivals: np.ndarray  # of the arrival intensity
    seasonal: np.ndarray  # (days, categories): which categories the season favours, rows sum to 1


def calendar(parameters: Parameters) -> Calendar:
    """The shop's weeks and years; flat in the stationary world."""
    days, shelves = np.arange(parameters.days), len(parameters.categories)
    if not parameters.believable:
        flat = np.ones(parameters.days)
        return Calendar(flat, flat, np.full((parameters.days, shelves), 1 / shelves))
    weekday = np.array([1.05, 1.0, 0.97, 1.0, 1.08, 0.86, 1.04])[(days + parameters.start.weekday()) % 7]
    day_of_year = (days + parameters.start.timetuple().tm_yday - 1) % 365.25
    # A gentle wave, and the weeks before Christmas, which end on the 23rd.
    advent = np.exp(-0.5 * ((day_of_year - 340) / 16) ** 2) * (day_of_year < 357)
    season = (1 + 0.12 * np.cos(2 * np.pi * (day_of_year - 330) / 365.25) + 0.75 * advent) / 1.08
    trend = np.exp(0.2 * (days - parameters.days / 2) / 365.25)
    peaks = np.linspace(0, 365.25, shelves, endpoint=False)
    closeness = np.cos(2 * np.pi * (day_of_year[:, None] - peaks[None, :]) / 365.25)
    seasonal = np.exp(2.0 * closeness)
    return Calendar(
        level=trend * weekday * season,
        arrivals=np.exp(0.35 * (days - parameters.days / 2) / 365.25) * season * weekday,
        seasonal=seasonal / seasonal.sum(axis=1, keepdims=True),
    )


def seconds_of_day(portion: np.ndarray) -> np.ndarray:
    """Second of the day at which a share of the day's orders is reached; keeps the order of its inputs."""
    reached = np.concatenate([[0.0], np.cumsum(HOURS)]) / np.sum(HOURS)
    return np.minimum(np.interp(portion, reached, np.arange(25) * 3600.0), 86_399.0).astype(np.int64)
