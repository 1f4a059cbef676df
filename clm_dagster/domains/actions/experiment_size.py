"""What the experiment of a plan could see: the smallest effect, and the chance to see the planned one.

Belongs here: the figures of a plan's experiment before anybody is contacted. Does not: effects (`measurement`).
"""

from dataclasses import dataclass

import pandas as pd

from clm_dagster.domains.actions.names import FROM_UPLIFT, GLOBAL_HOLDOUT, TREATED
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.statistics.experiments.power import POWER, Design, rate_power, smallest_rate_effect
from clm_dagster.statistics.experiments.sequential import AnytimeLook


@dataclass(frozen=True)
class Measurable:
    """What an experiment of this size could see.

    customers: in both arms. held_out: in control. base_rate: conversions expected without the action in the window.
    smallest: the smallest increase of that rate that is seen with `power`; None where nothing could be. planned: the
    increase that the playbook expects. chance: the probability to see that one.
    """

    customers: int
    held_out: int
    base_rate: float
    smallest: float | None
    planned: float
    chance: float
    power: float = POWER


def measurable(rows: pd.DataFrame, settings: PlanSettings, window_days: int) -> Measurable:
    """Return what the experiment of a plan could see. rows: arm, order_probability, effect and effect_source of each
    planned customer.

    The base rate is the mean predicted probability of an order, brought from its horizon to the window as if orders
    came at a constant rate, and so is an effect that the playbook expects; a measured one is of the window. The
    interval is the one that may be looked at every day.
    """
    both = rows[rows["arm"] != GLOBAL_HOLDOUT]
    treated = both[both["arm"] == TREATED]
    customers, held = len(both), len(both) - len(treated)
    probability = both["order_probability"].astype(float).fillna(0.0).clip(0, 1)
    share = window_days / settings.horizon_days
    base = float((1 - (1 - probability) ** share).mean()) if customers else 0.0
    is_measured = both["effect_source"].eq(FROM_UPLIFT)
    effects = both["effect"].astype(float) * is_measured.map({True: 1.0, False: min(share, 1.0)})
    planned = float(effects.mean()) if customers else 0.0
    if not 0 < held < customers:
        return Measurable(customers, held, base, None, planned, 0.0)
    design, look = Design(customers, held / customers), AnytimeLook()
    return Measurable(
        customers=customers,
        held_out=held,
        base_rate=base,
        smallest=smallest_rate_effect(design, base, look=look),
        planned=planned,
        chance=rate_power(design, base, planned, look),
    )
