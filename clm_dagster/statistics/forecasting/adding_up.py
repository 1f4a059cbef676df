"""Which series of a panel must add up, and making them do so.

Belongs here: reading the hierarchy out of the keys. Does not: the arithmetic (`reconcile`).

A level (country, category, channel, product) is closed when its parts, `other` among them, are the whole
shop: the SQL model sees to it. A level without the key `other` adds up all the same where its parts are all
there are. Levels of a measure without the shop's own series are left as they are.
"""

import numpy as np
import pandas as pd

from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.reconcile import ADDING, TOTAL, reconcile, to_the_penny


def add_up(keys: pd.DataFrame, mean: Floats, variances: Floats) -> Floats:
    """Means (series, horizon) with units and revenue reconciled over levels and rounded to the penny."""
    answer = mean.copy()
    measure, level = keys["measure"].to_numpy(), keys["level"].to_numpy()
    for name in ADDING:
        shop = np.flatnonzero((measure == name) & (level == TOTAL))
        if shop.size != 1:
            continue
        rows = {
            part: np.flatnonzero((measure == name) & (level == part))
            for part in sorted(set(level[measure == name]) - {TOTAL})
        }
        total, parts = reconcile(
            mean[shop[0]],
            float(variances[shop[0]]),
            {part: (mean[found], variances[found]) for part, found in rows.items()},
        )
        total, parts = to_the_penny(total, parts)
        answer[shop[0]] = total
        for part, found in rows.items():
            answer[found] = parts[part]
    return answer
