"""The customers of the shop: their fixed attributes.

Belongs here: attributes, drawn in independent blocks. Does not: behaviour over time (`purchases`).
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

# Customers are drawn in blocks of this fixed size, so that the first customers do not depend on the total.
BLOCK = 1 << 16


@dataclass(frozen=True)
class Population:
    """Arrays of N + 1 entries: the customers in order of arrival, then one entry for all guests."""

    arrived: np.ndarray  # days; infinite for guests
    orders_on_arrival: np.ndarray
    rate: np.ndarray  # orders per day
    dropout: np.ndarray  # probability after each repeat order
    spend_rate: np.ndarray  # nu of the Gamma-Gamma
    sensitivity: np.ndarray  # to prices, 0 to 1
    group: np.ndarray  # taste group
    tastes: np.ndarray  # (N + 1, categories), rows sum to 1
    favourites: np.ndarray  # (N + 1, favourites) products
    loyalty: np.ndarray  # share of lines that are favourites
    effects: np.ndarray  # (N + 1, arms): change of the log hazard after a mail
    budget: np.ndarray  # Exponential(1): cumulative hazard until the next order
    browsing: np.ndarray  # visits per day
    opens: np.ndarray  # probability of opening a mail
    channel: np.ndarray
    country: np.ndarray
    birth_year: np.ndarray
    woman: np.ndarray
    consent: np.ndarray  # to mail; the one attribute that changes, by opting out

    @property
    def guest(self) -> int:
        """The index of the entry that stands for all guests."""
        return len(self.rate) - 1


def build_population(parameters: Parameters, catalogue: Catalogue, days: Calendar) -> Population:
    """Draw all customers, block by block."""
    blocks = range(-(-parameters.customers // BLOCK))
    parts = [_draw_block(parameters, catalogue, number) for number in blocks]
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


def _draw_block(parameters: Parameters, catalogue: Catalogue, number: int) -> dict[str, np.ndarray]:
    rng, n = stream(parameters, "customers", number), BLOCK
    group = rng.integers(len(GROUP_FOCUS), size=n).astype(np.int8)
    tastes = rng.standard_gamma(parameters.concentration * _taste_centres(parameters)[group]).astype(
        np.float32
    )
    tastes = np.maximum(tastes, 1e-6)
    tastes /= tastes.sum(axis=1, keepdims=True)
    channel = rng.choice(len(CHANNEL_SHARES), n, p=CHANNEL_SHARES).astype(np.int8)
    sensitivity = rng.beta(2, 4, n)
    spend_rate = rng.gamma(parameters.spend_q, 1 / parameters.spend_gamma, n)
    rate = rng.gamma(parameters.rate_shape, 1 / parameters.rate_days, n)
    sampler = catalogue.sampler(catalogue.popularity * catalogue.available(0))
    category = draw_rows(
        np.repeat(tastes, parameters.favourites, axis=0), rng.random(n * parameters.favourites)
    )
    favourites = sampler.draw(category, rng.random(len(category))).reshape(n, -1)
    return {
        "jitter": rng.random(n),
        "orders_on_arrival": rng.random(n) < np.array(CHANNEL_CONVERSION)[channel],
        "rate": rate,
        "dropout": rng.beta(parameters.dropout_a, parameters.dropout_b, n),
        "spend_rate": spend_rate,
        "sensitivity": sensitivity.astype(np.float32),
        "group": group,
        "tastes": tastes,
        "favourites": favourites.astype(np.int32),
        "loyalty": np.full(n, parameters.loyalty, np.float32),
        "effects": _mail_effects(parameters, group, channel, sensitivity, spend_rate),
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


def _taste_centres(parameters: Parameters) -> np.ndarray:
    """Return the category shares of the taste groups: `focus` on two categories, the rest spread evenly.

    The shape is (groups, categories).
    """
    categories = len(parameters.categories)
    centres = np.full((len(GROUP_FOCUS), categories), (1 - parameters.focus) / categories)
    for group, focus in enumerate(GROUP_FOCUS):
        for category in focus:
            centres[group, category % categories] += parameters.focus / len(focus)
    return centres


def _mail_effects(
    parameters: Parameters,
    group: np.ndarray,
    channel: np.ndarray,
    sensitivity: np.ndarray,
    spend_rate: np.ndarray,
) -> np.ndarray:
    """Return the effect of a mail of each arm on each customer's log hazard, of shape (n, arms).

    A discount has a positive effect on price-sensitive customers and a negative effect on big spenders who are
    not price-sensitive. News has a positive effect on two taste groups and a negative effect on customers from
    paid search. All other effects are zero.
    """
    effects = np.zeros((len(group), 3), np.float32)
    if parameters.believable:
        sensitive = sensitivity > 0.38
        big_spender = (parameters.spend_p / spend_rate > 1.4 * parameters.mean_spend) & ~sensitive
        effects[:, 1] = parameters.effect_positive * sensitive + parameters.effect_negative * big_spender
        from_paid_search = channel == 1
        interested = (group <= 1) & ~from_paid_search
        effects[:, 2] = (
            parameters.effect_positive * interested + parameters.effect_negative * from_paid_search
        )
    return effects


def draw_rows(shares: np.ndarray, portion: np.ndarray) -> np.ndarray:
    """Return a column for each row of shares, which sum to 1, by inverting its distribution at `portion`."""
    columns: np.ndarray = np.minimum(
        (np.cumsum(shares, axis=1) < portion[:, None]).sum(axis=1), shares.shape[1] - 1
    )
    return columns
