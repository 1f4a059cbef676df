"""Linear and integer programs of an allocation over groups of equal customers, for SciPy's HiGHS.

Belongs here: matrices, calls of the solver, what it returns. Does not: which customers are in a program (`exact`,
`lagrangian`).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from clm_dagster.statistics.allocation.problem import NO_ACTION, AllocationError, Floats, Ints, Problem

_SEED = 20_260_101


@dataclass(frozen=True)
class Program:
    """The variables x (group, action) of some customers: how many of a group get an action.

    groups: shape (customers of the program,), the group of each. sizes: shape (groups,). group, action: shape (v,), of
    each variable. value: shape (v,). matrix: (m + groups, v), limits first. limits: shape (m,), what is left of each.
    """

    rows: Ints
    groups: Ints
    sizes: Floats
    group: Ints
    action: Ints
    value: Floats
    matrix: sparse.csr_array
    limits: Floats

    @classmethod
    def of(cls, problem: Problem, rows: Ints, limits: Floats) -> "Program":
        """Return the program of some customers under limits. Equal customers are one group."""
        values, costs = problem.values[:, rows], problem.costs[:, rows]
        # Rows of equal numbers have one sum of products with random numbers, others do not; to sort one number for
        # each of a million customers is much faster than to sort their rows.
        both = np.concatenate([np.where(np.isfinite(values), values, -1.0), costs])
        weights = np.random.default_rng(_SEED).uniform(1, 2, len(both))
        _, first, groups = np.unique(weights @ both, return_index=True, return_inverse=True)
        # Groups in the order of their first customer, so that ties go by order.
        place = np.empty(len(first), dtype=np.int64)
        place[np.argsort(first)] = np.arange(len(first))
        groups, first = place[groups.ravel()], np.sort(first)
        action, group = np.nonzero(np.isfinite(values[:, first]))
        by_group = np.lexsort((action, group))
        action, group = action[by_group], group[by_group]
        members = (np.ones(len(group)), (group, np.arange(len(group))))
        parts = [
            sparse.csr_array(costs[action, first[group]][None, :]),
            sparse.csr_array(problem.uses[:, action]),
            sparse.csr_array(members, shape=(len(first), len(group))),
        ]
        matrix = sparse.csr_array(sparse.vstack([part for part in parts if part.shape[0]]))
        sizes = np.bincount(groups, minlength=len(first)).astype(float)
        return cls(rows, groups, sizes, group, action, values[action, first[group]], matrix, limits)

    @property
    def _bounds(self) -> Floats:
        return np.concatenate([self.limits, self.sizes])

    def relaxed(self) -> tuple[Floats, Floats]:
        """Return a basic solution of the linear program, shape (v,), and the price of each limit, shape (m,)."""
        if not len(self.value):
            return np.zeros(0), np.zeros(len(self.limits))
        finite = np.isfinite(self._bounds)
        found = linprog(
            -self.value, A_ub=self.matrix[finite], b_ub=self._bounds[finite], method="highs-ds", options={}
        )
        if found.x is None:
            raise AllocationError(f"the linear program has no solution: {found.message}")
        prices = np.zeros(len(self._bounds))
        prices[finite] = np.maximum(-found.ineqlin.marginals, 0)
        return np.asarray(found.x), prices[: len(self.limits)]

    def whole(self, nodes: int) -> tuple[Floats, float]:
        """Return the best solution in whole customers, shape (v,), and a bound of its value.

        nodes: after so many nodes of the search the best one so far is returned; a limit of time would not be the same
        on every run.
        """
        if not len(self.value):
            return np.zeros(0), 0.0
        found = milp(
            -self.value,
            integrality=np.ones(len(self.value)),
            bounds=Bounds(0, np.inf),
            constraints=LinearConstraint(self.matrix, -np.inf, self._bounds),
            options={"mip_rel_gap": 0.0, "node_limit": nodes},
        )
        # Nothing for anybody is always a solution, so only a limit or a tolerance can end the search without one.
        x = np.zeros(len(self.value)) if found.x is None else np.round(found.x)
        known = found.mip_dual_bound is not None and np.isfinite(found.mip_dual_bound)
        return x, -float(found.mip_dual_bound) if known else float(self.value @ (self.sizes[self.group]))

    def assigned(self, amounts: Floats) -> Ints:
        """Return the action of each customer of the program, from whole numbers for each variable.

        The first customers of a group get its first action, and so on.
        """
        order = np.argsort(self.groups, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)
        count = amounts.astype(np.int64)
        before = np.cumsum(count) - count
        first_of_group = np.searchsorted(self.group, self.group, side="left")
        offset = before - before[first_of_group]
        total = int(count.sum())
        step = np.arange(total) - np.repeat(before, count)
        places = np.repeat(starts[self.group] + offset, count) + step
        choice = np.full(len(self.rows), NO_ACTION, dtype=np.int64)
        choice[order[places]] = np.repeat(self.action, count)
        return choice
