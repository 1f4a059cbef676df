"""The choice among offers, under a budget and the capacity of each channel.

Belongs here: limits of a plan, and why an offer was not chosen. Does not: the optimiser (`statistics.allocation`).

Whoever is held out competes for the budget like everybody else, so that the arms of an experiment are alike. They are
not contacted and cost nothing, so the limits of the choice are widened by as much as the contacts alone still fit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.names import TREATED
from clm_dagster.domains.actions.offers import COOLING, HARMFUL, LEFT_ALONE, OPEN, RESTING
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.statistics.allocation import BUDGET, NO_ACTION, Allocation, allocate

CHOSEN = "chosen"
# Between the widest limits and those that are given.
_STEPS = 6


@dataclass(frozen=True)
class Choice:
    """The choice among offers.

    outcome: of each offer, `chosen` or why not. bound: the most that any plan within the limits could gain, with those
    who are held out. gap: share of the bound that the choice may lack. budget_price: gain of one more unit of budget.
    """

    outcome: NDArray[np.object_]
    bound: float
    gap: float
    budget_price: float


@dataclass(frozen=True)
class OpenOffers:
    """The offers of some customers that may be made, shape (n,) each. customers: how many there are.

    customer: row among them. place: line. gain, cost: in money. is_treated: whether the customer would be contacted.
    """

    customers: int
    customer: NDArray[np.int32]
    place: NDArray[np.int16]
    gain: NDArray[np.float64]
    cost: NDArray[np.float64]
    is_treated: NDArray[np.bool_]

    @classmethod
    def of(cls, offers: pd.DataFrame, arms: NDArray[np.object_], customers: int) -> "OpenOffers":
        """Return the open ones of all offers. arms: of each offer."""
        may = (offers["limit"] == OPEN).to_numpy(bool)
        return cls(
            customers,
            offers["customer"].to_numpy(np.int32)[may],
            offers["place"].to_numpy(np.int16)[may],
            offers["gain"].to_numpy(np.float64)[may],
            offers["cost"].to_numpy(np.float64)[may],
            (arms == TREATED)[may],
        )


@dataclass(frozen=True)
class Decision:
    """The line that each customer gets. actions: shape (customers,), its place, or -1. prices: of the limits.

    bound, gap: as in `Choice`.
    """

    actions: NDArray[np.int16]
    prices: Mapping[str, float]
    bound: float
    gap: float

    @property
    def budget_price(self) -> float:
        """The gain of one more unit of budget."""
        return self.prices.get(BUDGET, 0.0)


def choose(
    offers: pd.DataFrame, held: NDArray[np.object_], plays: Sequence[Play], settings: PlanSettings
) -> Choice:
    """Return the offers that earn most in total, at most one for each customer.

    offers: customer, place, cost, gain, limit, days. held: arm of each customer in each play, shape (customers, plays).
    """
    arms = held[offers["customer"].to_numpy(np.int64), offers["place"].to_numpy(np.int64)]
    found = decide([OpenOffers.of(offers, arms, len(held))], plays, settings)
    outcome = outcomes(offers, found.actions, found.prices, plays)
    return Choice(outcome, found.bound, found.gap, found.budget_price)


def decide(parts: Sequence[OpenOffers], plays: Sequence[Play], settings: PlanSettings) -> Decision:
    """Return the line of each customer of all parts, one after the other, so that all together earn most."""
    total = sum(part.customers for part in parts)
    if not any(len(part.place) for part in parts):
        return Decision(np.full(total, NO_ACTION, dtype=np.int16), {}, bound=0.0, gap=0.0)
    values, costs, is_treated = _tables(parts, total, len(plays))
    channels = [play.channel for play in plays]
    for scale in _scales(settings):
        budget = np.inf if settings.budget is None else settings.budget * scale
        capacity = {
            name: float(np.floor(most * scale)) for name, most in settings.capacity if name in channels
        }
        found = allocate(values.T, costs.T, channels, budget, capacity)
        if scale == 1 or _fits(found, costs, is_treated, channels, settings):
            break
    prices = {limit.name: limit.price for limit in found.constraints}
    return Decision(found.choice.astype(np.int16), prices, found.bound, found.relative_gap)


def _tables(
    parts: Sequence[OpenOffers], customers: int, plays: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return value, cost and whether they are contacted for each play and customer, shape (plays, customers).

    The value of what may not be offered is minus infinity.
    """
    shape = (plays, customers)
    values, costs, is_treated = np.full(shape, -np.inf), np.zeros(shape), np.ones(shape, dtype=bool)
    first = 0
    for part in parts:
        where = (part.place, part.customer + first)
        values[where], costs[where], is_treated[where] = part.gain, part.cost, part.is_treated
        first += part.customers
    return values, costs, is_treated


def _scales(settings: PlanSettings) -> Iterator[float]:
    """Return how much wider the limits may be because of those who are held out, from most to nothing."""
    contacted = (1 - settings.holdout_share) * (1 - settings.global_holdout_share)
    yield from np.linspace(1 / contacted, 1, _STEPS).tolist() if contacted < 1 else [1.0]


def _fits(
    found: Allocation,
    costs: NDArray[np.float64],
    is_treated: NDArray[np.bool_],
    channels: Sequence[str],
    settings: PlanSettings,
) -> bool:
    """Whether the contacts of a choice are within the limits that are given."""
    customer = np.flatnonzero(found.choice >= 0)
    place = found.choice[customer]
    sent = is_treated[place, customer]
    customer, place = customer[sent], place[sent]
    of_play = np.bincount(place, minlength=len(channels))
    counts = {
        name: sum(int(of_play[one]) for one, own in enumerate(channels) if own == name) for name in channels
    }
    is_affordable = settings.budget is None or costs[place, customer].sum() <= settings.budget
    return is_affordable and all(counts.get(name, 0) <= most for name, most in settings.capacity)


def outcomes(
    offers: pd.DataFrame, actions: NDArray[np.int16], prices: Mapping[str, float], plays: Sequence[Play]
) -> NDArray[np.object_]:
    """Return why each offer of some customers was chosen or not, in a few words. actions: those of these customers."""
    channels = [play.channel for play in plays]
    customer, place = offers["customer"].to_numpy(), offers["place"].to_numpy()
    gain, cost, limit = (
        offers["gain"].to_numpy(),
        offers["cost"].to_numpy(),
        offers["limit"].to_numpy(dtype=object),
    )
    chosen = actions[customer]
    best = np.full(len(actions), -np.inf)
    best[customer[chosen == place]] = gain[chosen == place]
    channel_price = np.array([prices.get(channel, 0.0) for channel in channels])
    is_full = (
        (channel_price[place] > 0) & (gain - prices.get(BUDGET, 0.0) * cost > 0)
        if len(place)
        else np.array([])
    )
    days = offers["days"].fillna(0).astype(np.int64).astype("str").to_numpy(dtype=object)
    cases = [
        (chosen == place, CHOSEN),
        (limit == LEFT_ALONE, "a line leaves this customer alone"),
        (limit == COOLING, "planned " + days + " days ago, within its cool-down"),
        (limit == RESTING, "last contact " + days + " days ago"),
        (limit == HARMFUL, "a contact makes an order less likely"),
        (gain <= 0, "earns no more than it costs"),
        ((chosen >= 0) & (gain <= best[customer]), "another line earns more"),
        (is_full, "the capacity of its channel earns more with others"),
    ]
    conditions = [np.asarray(condition, dtype=bool) for condition, _ in cases]
    words = [np.broadcast_to(np.asarray(word, dtype=object), len(offers)) for _, word in cases]
    return np.asarray(np.select(conditions, words, "the budget earns more with others"), dtype=object)
