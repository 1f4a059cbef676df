"""The choice among offers, under a budget and the capacity of each channel.

Belongs here: limits of a plan, and why an offer was not chosen. Does not: the optimiser (`statistics.allocation`).

Whoever is held out competes for the budget like everybody else, so that the arms of an experiment are alike. They are
not contacted and cost nothing, so the limits of the choice are widened by as much as the contacts alone still fit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.names import TREATED
from clm_dagster.domains.actions.offers import COOLING, HARMFUL, LEFT_ALONE, OPEN, RESTING
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.statistics.allocation import BUDGET, Allocation, allocate

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


def choose(
    offers: pd.DataFrame, held: NDArray[np.object_], plays: Sequence[Play], settings: PlanSettings
) -> Choice:
    """Return the offers that earn most in total, at most one for each customer.

    offers: customer, place, cost, gain, limit, days. held: arm of each customer in each play, shape (customers, plays).
    """
    if offers.empty:
        return Choice(np.array([], dtype=object), bound=0.0, gap=0.0, budget_price=0.0)
    values, costs = _tables(offers, held.shape)
    channels = [play.channel for play in plays]
    is_treated = held == TREATED
    for scale in _scales(settings):
        budget = np.inf if settings.budget is None else settings.budget * scale
        capacity = {
            name: float(np.floor(most * scale)) for name, most in settings.capacity if name in channels
        }
        found = allocate(values, costs, channels, budget, capacity)
        if scale == 1 or _fits(found, costs, is_treated, channels, settings):
            break
    prices = {limit.name: limit.price for limit in found.constraints}
    return Choice(
        outcome=_outcomes(offers, found, channels, prices),
        bound=found.bound,
        gap=found.relative_gap,
        budget_price=prices.get(BUDGET, 0.0),
    )


def _tables(offers: pd.DataFrame, shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return value and cost of each customer and play, shape (customers, plays); -inf for what may not be offered."""
    values, costs = np.full(shape, -np.inf), np.zeros(shape)
    may = offers[offers["limit"] == OPEN]
    values[may["customer"], may["place"]] = may["gain"]
    costs[may["customer"], may["place"]] = may["cost"]
    return values, costs


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
    sent = is_treated[customer, place]
    customer, place = customer[sent], place[sent]
    counts = pd.Series([channels[one] for one in place], dtype=object).value_counts()
    is_affordable = settings.budget is None or costs[customer, place].sum() <= settings.budget
    return is_affordable and all(counts.get(name, 0) <= most for name, most in settings.capacity)


def _outcomes(
    offers: pd.DataFrame, found: Allocation, channels: Sequence[str], prices: dict[str, float]
) -> NDArray[np.object_]:
    """Return why each offer was chosen or not, in a few words."""
    customer, place = offers["customer"].to_numpy(), offers["place"].to_numpy()
    gain, cost, limit = (
        offers["gain"].to_numpy(),
        offers["cost"].to_numpy(),
        offers["limit"].to_numpy(dtype=object),
    )
    chosen = found.choice[customer]
    best = np.full(len(found.choice), -np.inf)
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
