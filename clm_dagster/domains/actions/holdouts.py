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


def arms(customer_ids: pd.Series, plays: Sequence[str], settings: PlanSettings) -> NDArray[np.object_]:
    """Return the arm of each customer in each play, shape (customers, plays).

    It depends on the key, the play and the customer only, so it is the same in every snapshot.
    """
    ids = customer_ids.tolist()
    found = np.full((len(ids), len(plays)), TREATED, dtype=object)
    for place, play in enumerate(plays):
        found[is_held_out(ids, play, settings.holdout_key, settings.holdout_share), place] = HOLDOUT
    found[everywhere(customer_ids, settings), :] = GLOBAL_HOLDOUT
    return found


def everywhere(customer_ids: pd.Series, settings: PlanSettings) -> NDArray[np.bool_]:
    """Return which customers are kept out of every play, shape (customers,)."""
    return is_held_out(customer_ids.tolist(), EVERY_PLAY, settings.holdout_key, settings.global_holdout_share)
