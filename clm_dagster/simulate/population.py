"""Who the customers are: everything about them that does not change.

Belongs here: traits, drawn in blocks that know nothing of each other. Does not: what they do (`purchases`).
"""

from dataclasses import dataclass, fields

import numpy as np

from clm_dagster.simulate.catalogue import Catalogue
from clm_dagster.simulate.parameters import (
    CHANNEL_CONVERSION,
    CHANNEL_SHARES,
    COUNTRY_SHARES,
    GROUP_FOCUS,
    Calendar,
    Parameters,
    stream,
)

# Customers drawn at once, always as many: a shop's first customers do not depend on how many follow.
BLOCK = 1 << 16


@dataclass(frozen=True)
class Population:
    """Arrays of N + 1 entries: the customers in the order of their arrival, and last, one for all guests."""

    arrived: np.ndarray  # days; the guests': never
    at_once: np.ndarray  # whether he orders as he arrives
    rate: np.ndarray  # orders a day
    dropout: np.ndarray  # probability after each repeat order
    spend_rate: np.ndarray  # nu of the Gamma-Gamma
    sensitivity: np.ndarray  # to prices, 0 to 1
    group: np.ndarray  # taste group
    tastes: np.ndarray  # (N + 1, categories), rows sum to 1
    favourites: np.ndarray  # (N + 1, favourites) products
    loyalty: np.ndarray  # share of lines that are favourites
    effects: np.ndarray  # (N + 1, arms): change of the log hazard by a mail
    budget: np.ndarray  # Exponential(1), hazard until the next order
    browsing: np.ndarray  # visits a day
    opens: np.ndarray  # probability of opening a mail
    channel: np.ndarray
    country: np.ndarray
    birth_year: np.ndarray
    woman: np.ndarray
    consent: np.ndarray  # may be mailed; changes when he objects

    @property
    def guest(self) -> int:
        """The index that stands for every guest."""
        return len(self.rate) - 1


def build_population(parameters: Parameters, catalogue: Catalogue, days: Calendar) -> Population:
    """Draw all customers, block by block."""
    blocks = range(-(-parameters.customers // BLOCK))
    parts = [_block(parameters, catalogue, number) for number in blocks]
    drawn = {
        name: np.concatenate([part[name] for part in parts])[: parameters.customers] for name in parts[0]
    }
    intensity = np.concatenate([[0.0], np.cumsum(days.arrivals)])
    quantile = (np.arange(parameters.customers) + drawn.pop("jitter")) / parameters.customers
    drawn["arrived"] = np.interp(quantile, intensity / intensity[-1], np.arange(len(intensity)))
    guest = {name: values.mean(axis=0, keepdims=True) for name, values in drawn.items()}
    guest |= {
        "arrived": np.array([np.inf]),
        "loyalty": np.zeros(1),
        "rate": np.zeros(1),
        "opens": np.zeros(1),
    }
    shapes = {
        name: np.concatenate([values, guest[name].astype(values.dtype)]) for name, values in drawn.items()
    }
    return Population(**{field.name: shapes[field.name] for field in fields(Population)})


def _block(parameters: Parameters, catalogue: Catalogue, number: int) -> dict[str, np.ndarray]:
    rng, n = stream(parameters, "customers", number), BLOCK
    group = rng.integers(len(GROUP_FOCUS), size=n).astype(np.int8)
    tastes = rng.standard_gamma(parameters.concentration * _centres(parameters)[group]).astype(np.float32)
    tastes = np.maximum(tastes, 1e-6)
    tastes /= tastes.sum(axis=1, keepdims=True)
    channel = rng.choice(len(CHANNEL_SHARES), n, p=CHANNEL_SHARES).astype(np.int8)
    sensitivity = rng.beta(2, 4, n)
    spend_rate = rng.gamma(parameters.spend_q, 1 / parameters.spend_gamma, n)
    rate = rng.gamma(parameters.rate_shape, 1 / parameters.rate_days, n)
    picker = catalogue.picker(catalogue.popularity * catalogue.available(0))
    shelf = draw_rows(np.repeat(tastes, parameters.favourites, axis=0), rng.random(n * parameters.favourites))
    favourites = picker.draw(shelf, rng.random(len(shelf))).reshape(n, -1)
    return {
        "jitter": rng.random(n),
        "at_once": rng.random(n) < np.array(CHANNEL_CONVERSION)[channel],
        "rate": rate,
        "dropout": rng.beta(parameters.dropout_a, parameters.dropout_b, n),
        "spend_rate": spend_rate,
        "sensitivity": sensitivity.astype(np.float32),
        "group": group,
        "tastes": tastes,
        "favourites": favourites.astype(np.int32),
        "loyalty": np.full(n, parameters.loyalty, np.float32),
        "effects": _effects(parameters, group, channel, sensitivity, spend_rate),
        "budget": rng.standard_exponential(n),
        "browsing": (
            parameters.browsing
            * np.sqrt(rate * parameters.rate_days / parameters.rate_shape)
            * rng.gamma(2, 0.5, n)
        ).astype(np.float32),
        "opens": rng.beta(2, 4, n).astype(np.float32),
        "channel": channel,
        "country": rng.choice(len(COUNTRY_SHARES), n, p=COUNTRY_SHARES).astype(np.int8),
        "birth_year": np.clip(rng.normal(parameters.start.year - 41, 13, n), 1930, 2006).astype(np.int16),
        "woman": rng.random(n) < 0.6,
        "consent": rng.random(n) < 0.72,
    }


def _centres(parameters: Parameters) -> np.ndarray:
    """What each taste group likes, (groups, categories): `focus` on two shelves, the rest spread evenly."""
    shelves = len(parameters.categories)
    centres = np.full((len(GROUP_FOCUS), shelves), (1 - parameters.focus) / shelves)
    for group, focus in enumerate(GROUP_FOCUS):
        for shelf in focus:
            centres[group, shelf % shelves] += parameters.focus / len(focus)
    return centres


def _effects(
    parameters: Parameters,
    group: np.ndarray,
    channel: np.ndarray,
    sensitivity: np.ndarray,
    spend_rate: np.ndarray,
) -> np.ndarray:
    """What a mail of each arm does to a customer's log hazard, planted by traits; (n, arms).

    A discount brings the price-sensitive, and puts off those who spend most and do not look at
    prices. News bring two taste groups, and annoy who came by paid search. All others do not care.
    """
    effects = np.zeros((len(group), 3), np.float32)
    if parameters.believable:
        sensitive = sensitivity > 0.38
        grand = (parameters.spend_p / spend_rate > 1.4 * parameters.mean_spend) & ~sensitive
        effects[:, 1] = parameters.effect_positive * sensitive + parameters.effect_negative * grand
        bored = channel == 1
        keen = (group <= 1) & ~bored
        effects[:, 2] = parameters.effect_positive * keen + parameters.effect_negative * bored
    return effects


def draw_rows(shares: np.ndarray, portion: np.ndarray) -> np.ndarray:
    """A column for each row of shares (which sum to 1) and uniform number."""
    return np.minimum((np.cumsum(shares, axis=1) < portion[:, None]).sum(axis=1), shares.shape[1] - 1)
