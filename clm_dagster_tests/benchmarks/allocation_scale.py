"""Allocations of a million customers and eight actions, with and without ties.

Belongs here: the problems, seconds, the gap. Does not: output (`report_actions`).
"""

import time
from typing import Any

import numpy as np

from clm_dagster.statistics.allocation import allocate

CHANNELS = ("mail", "mail", "mail", "sms", "sms", "post", "post", "call")
COSTS = np.array([0.01, 0.01, 2, 0.1, 1.1, 1.5, 4, 6])
# Shares of the customers.
CAPACITY = {"mail": 0.6, "sms": 0.1, "post": 0.05, "call": 0.01}


def measure(customers: int, kind: str) -> dict[str, Any]:
    """Allocate once. kind: `different` customers, `rounded` values with many ties, or `equal` customers."""
    rng = np.random.default_rng(0)
    values, costs = rng.gamma(1, 3, (customers, len(CHANNELS))) - 2, COSTS
    if kind == "different":
        costs = COSTS * rng.uniform(0.8, 1.2, (customers, 1))
    elif kind == "rounded":
        values = np.round(values)
    else:
        values = np.tile([1.0, 1, 2, 1, 2, 3, 4, 5], (customers, 1))
    capacity = {name: share * customers for name, share in CAPACITY.items()}
    start = time.perf_counter()
    plan = allocate(values, costs, CHANNELS, customers / 2, capacity)
    return {
        "kind": kind,
        "customers": customers,
        "seconds": time.perf_counter() - start,
        "value": plan.value,
        "gap": plan.gap,
        "largest_value": float(values.max()),
        "binding": list(plan.binding),
    }
