"""Who is held out, decided before anything is scored.

Belongs here: the arms of customers. Does not: the hash (`statistics.experiments`), the effect (`measurement`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.names import GLOBAL_HOLDOUT, HOLDOUT, TREATED
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.statistics.experiments.assignment import GLOBAL_HOLDOUT as EVERY_PLAY
from clm_dagster.statistics.experiments.assignment import is_held_out


def arms_of_offers(
    customer_ids: pd.Series,
    held_everywhere: NDArray[np.bool_],
    offers: pd.DataFrame,
    plays: Sequence[str],
    settings: PlanSettings,
) -> NDArray[np.object_]:
    """Return the arm of each offer. held_everywhere: the result of `everywhere`. offers: customer (row), place.

    It depends on the key, the play and the customer only, so it is the same in every snapshot.
    """
    ids = customer_ids.to_numpy(dtype=object)
    customer, place = offers["customer"].to_numpy(np.int64), offers["place"].to_numpy(np.int64)
    found = np.full(len(offers), TREATED, dtype=object)
    for number, play in enumerate(plays):
        mine = np.flatnonzero(place == number)
        held = is_held_out(ids[customer[mine]], play, settings.holdout_key, settings.holdout_share)
        found[mine[held]] = HOLDOUT
    found[held_everywhere[customer]] = GLOBAL_HOLDOUT
    return found


def everywhere(customer_ids: pd.Series, settings: PlanSettings) -> NDArray[np.bool_]:
    """Return which customers are kept out of every play, shape (customers,)."""
    return is_held_out(customer_ids.tolist(), EVERY_PLAY, settings.holdout_key, settings.global_holdout_share)
