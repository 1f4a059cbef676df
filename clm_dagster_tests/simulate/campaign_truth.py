"""What a mail of a simulated shop truly changes, computed from hazards and not by simulating.

Belongs here: the probability that each customer orders in a window, by arm. Does not: files of a shop (`shop`).

A customer of rate lambda who is active on a day orders in the days after it with the probability 1 - exp(-H), H the sum
of their hazards (`simulate.parameters`): order times are those of a Poisson process until the first order, the only one
that counts for a conversion. What they did before the day decides their rate only.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.simulate.catalogue import build_catalogue
from clm_dagster.simulate.parameters import ARMS, Parameters, calendar

Floats = NDArray[np.float64]


def rates_on(customers: pd.DataFrame, day: int, parameters: Parameters) -> Floats:
    """Return each customer's rate at the start of a day, level and promotions aside. customers: `truth/customers`."""
    is_prospect = ~(customers["first_order_at"] < day).to_numpy()
    has_left = (customers["dropped_out_at"] < day).to_numpy()
    has_arrived = (customers["arrived_at"] < day).to_numpy()
    rate = np.where(is_prospect, parameters.prospect_rate, customers["purchase_rate"].to_numpy(float))
    return np.asarray(np.where(has_left | ~has_arrived, 0.0, rate))


def multipliers(customers: pd.DataFrame, days: Sequence[int], parameters: Parameters) -> Floats:
    """Return what season, weekday and promotions make of each customer's rate, shape (days, customers)."""
    catalogue, level = build_catalogue(parameters), calendar(parameters).level
    sensitivity = customers["price_sensitivity"].to_numpy(float)
    found = []
    for day in days:
        sold = catalogue.available(day)
        strength = catalogue.discounts(day)[sold].mean()
        found.append(level[day] * (1 + parameters.sale_pull * strength * sensitivity))
    return np.stack(found)


def conversions(
    customers: pd.DataFrame,
    day: int,
    arm: str,
    parameters: Parameters,
    window: int = 30,
    goes_on: bool = True,
) -> Floats:
    """Return the probability that each customer orders in a window that starts on the day of a mail.

    arm: of the mail; control for none. goes_on: whether the shop's next campaign falls into the window; its arm is one
    of three, whatever the first was. An earlier mail no longer acts: campaigns are further apart than effects last.
    """
    days = range(day, day + window)
    hazards = rates_on(customers, day, parameters) * multipliers(customers, days, parameters)
    effects = [
        np.zeros(len(customers)) if name == ARMS[0] else customers[f"effect_{name}"].to_numpy(float)
        for name in ARMS
    ]
    mine = effects[ARMS.index(arm)]
    again = day + parameters.campaign_every
    not_yet = []
    for later in effects if goes_on else [np.zeros(len(customers))]:
        total = np.zeros(len(customers))
        for number, hazard in zip(days, hazards, strict=True):
            if 0 < number - day <= parameters.effect_days:
                total += hazard * np.exp(mine)
            elif goes_on and 0 < number - again <= parameters.effect_days:
                total += hazard * np.exp(later)
            else:
                total += hazard
        not_yet.append(np.exp(-total))
    return np.asarray(1 - np.mean(not_yet, axis=0))
