"""Offers: the lines of the playbook that each customer meets, with what each is worth and whether it may be made.

Belongs here: prices and contact limits. Does not: the choice under a budget (`choosing`), SQL (`queries`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.names import FROM_PLAYBOOK, FROM_UPLIFT, NOTHING
from clm_dagster.domains.actions.playbook import Play

# Why an offer is not made, besides being worth less than another one.
OPEN, LEFT_ALONE, RESTING, COOLING, HARMFUL = "open", "left alone", "rests", "cools down", "harms"


def price_offers(
    pairs: pd.DataFrame,
    customers: pd.DataFrame,
    plays: Sequence[Play],
    margin_rate: float,
    uplift: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the offers with their worth: customer (row of `customers`), place (line), and in currency units margin,
    cost and gain, besides effect (increase of the probability of an order) and source (of the effect).

    A discount is also given to those who would order anyway: cost = contact + discount x order value x (probability of
    an order without the action + effect). A customer whose probability nothing predicts counts as one who would not
    order. The action `nothing` has no offers. pairs: customer_id, place. customers: customer_id, order_probability,
    order_value. uplift: proven effects, customer_id, arm, effect; a line with an arm takes its effect from there.
    """
    lines = pd.DataFrame(
        {
            "effect": [play.effect for play in plays],
            "contact": [play.cost for play in plays],
            "discount": [play.discount for play in plays],
            "is_offer": [play.action != NOTHING for play in plays],
        },
        dtype=object,
    ).astype({"effect": float, "contact": float, "discount": float, "is_offer": bool})
    row = pd.Index(customers["customer_id"]).get_indexer(pd.Index(pairs["customer_id"]))
    place = pairs["place"].to_numpy(np.int64)
    kept = lines["is_offer"].to_numpy()[place] & (row >= 0)
    row, place = row[kept], place[kept]
    effect, source = _effects(lines["effect"].to_numpy()[place], row, place, customers, plays, uplift)
    value = np.nan_to_num(customers["order_value"].to_numpy(float))[row]
    probability = np.nan_to_num(customers["order_probability"].to_numpy(float))[row]
    margin = effect * value * margin_rate
    given = lines["discount"].to_numpy()[place] * value * np.clip(probability + effect, 0, 1)
    cost = lines["contact"].to_numpy()[place] + given
    return pd.DataFrame(
        {
            "customer": row,
            "place": place,
            "effect": effect,
            "source": source,
            "margin": margin,
            "cost": cost,
            "gain": margin - cost,
        }
    )


def _effects(
    of_lines: NDArray[np.float64],
    row: NDArray[np.int64],
    place: NDArray[np.int64],
    customers: pd.DataFrame,
    plays: Sequence[Play],
    uplift: pd.DataFrame | None,
) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Return the effect of each offer, that of its line unless the effect of its arm is proven, and its source."""
    effect, source = of_lines.copy(), np.full(len(of_lines), FROM_PLAYBOOK, dtype=object)
    if uplift is None or uplift.empty:
        return effect, source
    ids = pd.Index(customers["customer_id"])
    for arm, scores in uplift.groupby("arm"):
        lines = [number for number, play in enumerate(plays) if play.arm == arm]
        known = scores.set_index("customer_id")["effect"].reindex(ids).to_numpy(float)[row]
        taken = np.isin(place, lines) & ~np.isnan(known)
        effect[taken], source[taken] = known[taken], FROM_UPLIFT
    return effect, source


def limit_contacts(
    offers: pd.DataFrame,
    pairs: pd.DataFrame,
    customers: pd.DataFrame,
    contacts: pd.DataFrame,
    plays: Sequence[Play],
    rest_days: int,
) -> pd.DataFrame:
    """Return the offers with `limit`, why the contact limits forbid one, or `open`; and `days` since that contact.

    A customer who meets a line of the action `nothing` is left alone. Nobody gets what makes an order less likely, or
    is contacted within `rest_days` of any contact, or gets a line within its cool-down. contacts: customer_id, play
    (null for others'), days.
    """
    ids = pd.Index(customers["customer_id"])
    silences = [place for place, play in enumerate(plays) if play.action == NOTHING]
    silent = pairs[pairs["place"].isin(silences)]
    alone = np.zeros(len(ids), dtype=bool)
    alone[ids.get_indexer(pd.Index(silent["customer_id"]))] = True
    row = ids.get_indexer(pd.Index(contacts["customer_id"]))
    known = contacts[row >= 0].assign(customer=row[row >= 0])
    last = known.groupby("customer")["days"].min().reindex(np.arange(len(ids))).to_numpy(float)
    found = offers.assign(rested=last[offers["customer"]])
    numbers = {play.play: place for place, play in enumerate(plays)}
    own = known[known["play"].isin(list(numbers))]
    own = own.assign(place=own["play"].map(numbers).astype(np.int64))[["customer", "place", "days"]]
    found = found.merge(own, on=["customer", "place"], how="left")
    cool_down = np.array([play.cool_down_days for play in plays], dtype=float)[found["place"]]
    rests = found["rested"].to_numpy(float) < rest_days
    cools = found["days"].to_numpy(float) < cool_down
    is_alone = alone[found["customer"]]
    harms = found["effect"].to_numpy(float) < 0
    limits = [LEFT_ALONE, COOLING, RESTING, HARMFUL]
    found["limit"] = np.select([is_alone, cools, rests, harms], limits, OPEN)
    found["days"] = np.where(cools, found["days"], np.where(rests, found["rested"], np.nan))
    return found.drop(columns="rested")
