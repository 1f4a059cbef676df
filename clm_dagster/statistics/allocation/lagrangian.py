"""A nearly best allocation of a million customers, with a bound of what is missing.

Belongs here: from prices to a choice within the limits. Does not: prices (`dual`), programs (`programs`).

At the best prices nearly all customers have one best action, and only those between two actions matter. They are the
*core*: their linear program shares what the others leave. Its basic solution splits at most as many customers as there
are limits (Dyer 1984), so the gap is at most that many customers' values, and a small integer program around them
closes most of it.
"""

from dataclasses import replace

import numpy as np

from clm_dagster.statistics.allocation.dual import Priced, cheapest_bound
from clm_dagster.statistics.allocation.problem import NO_ACTION, Allocation, Floats, Ints, Problem
from clm_dagster.statistics.allocation.programs import Program

CORE = 4_000
# Prices are first those of a sample of this many customers, evenly spaced.
_SAMPLE = 2_000
_POLISHED = 40
_NODES = 500
_PASSES = 100
# Actions whose values differ by this share of the largest value count as equal.
_TIE = 1e-6


def solve_relaxed(problem: Problem, core: int = CORE) -> Allocation:
    """Return a choice within the limits, its bound, and the prices of the bound. core: customers to begin with."""
    if problem.customers == 0 or not np.isfinite(problem.values).any():
        nothing = np.full(problem.customers, NO_ACTION, dtype=np.int64)
        return problem.solution(nothing, 0.0, np.zeros(len(problem.limits)), "lagrangian")
    priced = cheapest_bound(problem, _prices_of_sample(problem))
    largest = float(problem.values.max())
    order = np.argsort(priced.margin, kind="stable")
    size = min(core, problem.customers)
    while True:
        # All customers who are as undecided as the last one of the core are in it too.
        window = max(float(priced.margin[order[size - 1]]), _TIE * largest)
        undecided = (priced.margin <= window) | (size == problem.customers)
        rows, choice = np.flatnonzero(undecided), np.where(undecided, NO_ACTION, priced.choice)
        left = problem.limits - problem.used(choice)
        if (left >= 0).all() or len(rows) == problem.customers:
            break
        size = min(4 * size, problem.customers)
    around = _around(problem, priced, rows, window, largest)
    program = Program.of(around, np.arange(len(rows)), np.maximum(left, 0.0))
    amounts, _ = program.relaxed()
    choice[rows] = program.assigned(np.floor(amounts + 1e-7))
    choice = _filled(problem, problem.within_limits(choice), rows, priced)
    choice = _polished(problem, choice, order)
    return problem.solution(choice, priced.bound, priced.prices, "lagrangian")


def _around(problem: Problem, priced: Priced, rows: Ints, window: float, largest: float) -> Problem:
    """Return the problem of the core: of each customer only the actions within the window of the best one.

    Only differences between a customer's actions matter, so customers with different values but the same differences
    become equal, and many of them one group. A customer for whom no action is far below the best one gets `largest`
    more for any action: they are left without one last.
    """
    price = priced.prices[0] * problem.costs[:, rows] + (priced.prices[1:] @ problem.uses)[:, None]
    reduced = problem.values[:, rows] - price
    best = np.maximum(reduced.max(axis=0), 0.0)
    near = reduced >= best - window
    grid = _TIE * largest / 10
    below = np.round(np.where(near, reduced - best, 0.0) / grid) * grid
    above_nothing = np.where(best <= window, np.round(best / grid) * grid, largest)
    values = np.where(near, price + below + above_nothing, -np.inf)
    return replace(problem, values=values, costs=np.where(near, problem.costs[:, rows], 0.0))


def _prices_of_sample(problem: Problem) -> Floats:
    """Return the prices of a smaller problem with the same shares."""
    count = min(_SAMPLE, problem.customers)
    rows = np.unique(np.linspace(0, problem.customers - 1, count).astype(np.int64))
    program = Program.of(problem, rows, problem.limits * len(rows) / problem.customers)
    return program.relaxed()[1]


def _filled(problem: Problem, choice: Ints, rows: Ints, priced: Priced) -> Ints:
    """Return the choice with actions for customers of the core who have none, where the limits leave room.

    In each pass every customer proposes their most valuable action that fits, and the proposals that fit together are
    accepted, the most valuable at these prices first.
    """
    channel = priced.prices[1:] @ problem.uses
    for _ in range(_PASSES):
        left = problem.limits - problem.used(choice)
        free = rows[choice[rows] == NO_ACTION]
        room = np.array([bool((left[1:][uses > 0] >= 1).all()) for uses in problem.uses.T])
        values = np.where(
            room[:, None] & (problem.costs[:, free] <= left[0]), problem.values[:, free], -np.inf
        )
        action = values.argmax(axis=0)
        value = values[action, np.arange(len(free))]
        kept = np.isfinite(value)
        free, action, value = free[kept], action[kept], value[kept]
        if not len(free):
            break
        cost = problem.costs[action, free]
        ranked = np.argsort(-(value - priced.prices[0] * cost - channel[action]), kind="stable")
        spent = np.concatenate([cost[ranked][None, :], problem.uses[:, action[ranked]]]).cumsum(axis=1)
        accepted = ranked[: int(np.logical_and.accumulate((spent <= left[:, None]).all(axis=0)).sum())]
        if not len(accepted):
            break
        choice[free[accepted]] = action[accepted]
    return problem.within_limits(choice)


def _polished(problem: Problem, choice: Ints, order: Ints) -> Ints:
    """Return the choice with the best actions of the least decided customers, all others as they are."""
    rows = np.sort(order[:_POLISHED])
    rest = choice.copy()
    rest[rows] = NO_ACTION
    left = np.maximum(problem.limits - problem.used(rest), 0.0)
    program = Program.of(problem, rows, left)
    rest[rows] = program.assigned(program.whole(_NODES)[0])
    rest = problem.within_limits(rest)
    return rest if problem.value(rest) > problem.value(choice) else choice
