"""From rows of core.customer_features to what the models of `btyd` take. Pure: frames in, histories out."""

import pandas as pd

from clm_dagster.btyd import Histories, days


def histories(frame: pd.DataFrame) -> Histories:
    """x, t_x and T of n customers: x = order_days - 1, all in days from the first order on."""
    tenure = frame["tenure_days"].to_numpy(float)
    recency = frame["recency_days"].to_numpy(float)
    return Histories(frame["order_days"].to_numpy(float) - 1, days(tenure - recency), days(tenure))
