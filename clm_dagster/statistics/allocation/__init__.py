"""Allocation: at most one action for each customer, of the largest total value under a budget and capacities.

Belongs here: the choice, its bound, prices of the limits. Does not: values of actions, which the domain computes.

    plan = allocate(values, costs, ["mail", "mail", "post"], budget=5_000, capacity={"post": 300})
    plan.choice, plan.value, plan.gap, plan.binding
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from clm_dagster.statistics.allocation.problem import (
    BUDGET,
    NO_ACTION,
    Allocation,
    AllocationError,
    Constraint,
    Problem,
)

__all__ = ["BUDGET", "NO_ACTION", "Allocation", "AllocationError", "Constraint", "Problem", "allocate"]

# Up to so many pairs of a customer and an action the choice is exact.
EXACT_CELLS = 2_000


def allocate(
    values: ArrayLike,
    costs: ArrayLike,
    channels: Sequence[str],
    budget: float = np.inf,
    capacity: Mapping[str, float] | None = None,
) -> Allocation:
    """Return the choice with the largest total value, exact for small problems, else with a stated gap.

    values: shape (n, k), the expected value of each action for each customer, net of its cost, in money. An action with
    a value of 0 or less, or not a number, is never chosen: that is how an action is ruled out for a customer. costs:
    shape (n, k), or (k,), in money. channels: the channel of each action. budget: the most that all chosen actions may
    cost. capacity: channel -> the most customers; channels that are not named have no limit. Customers with equal rows
    are served by order. The same input gives the same choice. Raise AllocationError for input that cannot be used.

    >>> plan = allocate([[9, 5], [8, 7], [-1, 0]], [4, 1], ["post", "mail"], budget=5)
    >>> plan.choice.tolist(), plan.value
    ([0, 1, -1], 16.0)
    """
    from clm_dagster.statistics.allocation.exact import solve_exactly
    from clm_dagster.statistics.allocation.lagrangian import solve_relaxed

    problem = Problem.of(values, costs, channels, budget, capacity)
    small = problem.customers * problem.actions <= EXACT_CELLS
    return solve_exactly(problem) if small else solve_relaxed(problem)
