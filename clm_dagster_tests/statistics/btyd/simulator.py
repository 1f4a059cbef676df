"""Customers who buy as the models assume: simulated event by event, without the formulas under test."""

import numpy as np

from clm_dagster.statistics.btyd import Histories, Unit
from clm_dagster.statistics.btyd.durations import Duration


def simulate(
    rng: np.random.Generator,
    rate: np.ndarray,
    observed: np.ndarray,
    unit: Unit,
    leave: np.ndarray | None = None,
    lifetime: np.ndarray | None = None,
    leave_at_once: bool = False,
    ahead: float = 0.0,
) -> tuple[Histories, np.ndarray]:
    """Return histories up to `observed`, and the number of purchases in the time `ahead` after it.

    Each customer buys at exponential gaps with their rate. They drop out after a purchase with probability
    `leave`, and in any case after their `lifetime`.
    """
    size = rate.size
    x, t_x, later, now = (np.zeros(size) for _ in range(4))
    ends = np.full(size, np.inf) if lifetime is None else lifetime
    p = np.zeros(size) if leave is None else leave
    alive = rng.random(size) >= p if leave_at_once else np.ones(size, dtype=bool)
    while alive.any():
        now = now + rng.exponential(1 / rate)
        alive &= (now <= ends) & (now <= observed + ahead)
        inside = alive & (now <= observed)
        x, t_x = x + inside, np.where(inside, now, t_x)
        later += alive & (now > observed)
        alive &= rng.random(size) >= p
    return Histories(x, Duration(t_x, unit), Duration(observed, unit)), later
