"""The best allocation by branch and bound (HiGHS), for small problems.

Belongs here: the exact solution. Does not: large problems (`lagrangian`).
"""

import numpy as np

from clm_dagster.statistics.allocation.problem import Allocation, Problem
from clm_dagster.statistics.allocation.programs import Program

# A search that ends here returns the best choice so far, with its bound.
NODES = 20_000


def solve_exactly(problem: Problem) -> Allocation:
    """Return the best choice; prices are those of the linear relaxation."""
    program = Program.of(problem, np.arange(problem.customers), problem.limits)
    amounts, bound = program.whole(NODES)
    _, prices = program.relaxed()
    choice = problem.within_limits(program.assigned(amounts))
    return problem.solution(choice, bound, prices, "exact")
