"""The problem of choosing at most one action for each customer, and its solution.

Belongs here: checked input, the choice with its value, bound, constraints and prices. Does not: solving (`exact`,
`lagrangian`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clm_dagster.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NO_ACTION = -1
BUDGET = "budget"
# A price below this share of the largest value is rounding.
_NO_PRICE = 1e-9
# Sums of money that differ by this share are equal: 0.1 + 0.2 is above 0.3 in floating point.
_ROUNDING = 1e-12


class AllocationError(UserError, ValueError):
    """The input of an allocation cannot be used. The message says what was expected and what was found."""


@dataclass(frozen=True)
class Constraint:
    """One limit of a solution.

    name: `budget`, or the channel. limit, used: money, or customers. price: the value of one more unit of the limit
    (the shadow price, from the relaxation). binds: whether the price is above zero.
    """

    name: str
    limit: float
    used: float
    price: float
    binds: bool


@dataclass(frozen=True)
class Allocation:
    """The action of each customer, and how good the choice is.

    choice: shape (n,), the action, or NO_ACTION. value: the sum of the values of the chosen actions. bound: no choice
    within the limits has a larger value. method: how it was found. constraints: the budget and all limited channels.
    """

    choice: Ints
    value: float
    bound: float
    method: str
    constraints: tuple[Constraint, ...]

    @property
    def gap(self) -> float:
        """How much value a better choice could have at most."""
        return max(self.bound - self.value, 0.0)

    @property
    def relative_gap(self) -> float:
        """The gap as a share of the bound; 0 where nothing can be gained."""
        return self.gap / self.bound if self.bound > 0 else 0.0

    @property
    def binding(self) -> tuple[str, ...]:
        """The names of the constraints that bind."""
        return tuple(one.name for one in self.constraints if one.binds)


@dataclass(frozen=True)
class Problem:
    """n customers, k actions and m limits: the budget first, then the limited channels.

    values: shape (k, n), minus infinity where an action is not allowed or not worth choosing. costs: shape (k, n).
    uses: shape (m - 1, k), 1.0 where an action uses a limited channel. limits: shape (m,). names: of the limits.
    """

    values: Floats
    costs: Floats
    uses: Floats
    limits: Floats
    names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        values: ArrayLike,
        costs: ArrayLike,
        channels: Sequence[str],
        budget: float = np.inf,
        capacity: Mapping[str, float] | None = None,
    ) -> "Problem":
        """Check the input of `allocate`; see there. Raise AllocationError for input that cannot be used."""
        v = np.asarray(values, dtype=float)
        if v.ndim != 2 or v.shape[1] != len(channels):
            raise AllocationError(
                f"values must have the shape (customers, actions) with one channel for each action, got {v.shape} "
                f"and {len(channels)} channels"
            )
        try:
            c = np.broadcast_to(np.asarray(costs, dtype=float), v.shape)
        except ValueError as error:
            raise AllocationError(
                f"costs must have the shape of the values, {v.shape}, or one for each action, got {np.shape(costs)}"
            ) from error
        if not (np.isfinite(c).all() and (c >= 0).all()):
            raise AllocationError("costs must be finite and 0 or more")
        if np.isposinf(v).any():
            raise AllocationError("values must be below infinity")
        limits = {name: float(limit) for name, limit in (capacity or {}).items()}
        if unknown := sorted(set(limits) - set(channels)):
            raise AllocationError(
                f"capacity of {', '.join(unknown)}, but the actions use {', '.join(sorted(set(channels)))}"
            )
        for name, limit in {BUDGET: budget, **limits}.items():
            if not limit >= 0:
                raise AllocationError(f"the limit of {name} must be 0 or more, got {limit}")
        # A channel takes whole customers; one of infinite capacity is no limit.
        limited = {name: float(np.floor(limit)) for name, limit in limits.items() if np.isfinite(limit)}
        uses = np.array([[float(name == one) for one in channels] for name in limited]).reshape(
            -1, len(channels)
        )
        full = np.array([limited.get(name, np.inf) < 1 for name in channels])
        allowed = (v > 0) & (c <= budget) & ~full
        # A caller who has a row for each action already is not copied.
        kept = np.ascontiguousarray(np.where(allowed.T, v.T, -np.inf))
        by_action = np.ascontiguousarray(c.T)
        return cls(
            kept, by_action, uses, np.array([float(budget), *limited.values()]), (BUDGET, *map(str, limited))
        )

    @property
    def customers(self) -> int:
        """The number of customers."""
        return int(self.values.shape[1])

    @property
    def actions(self) -> int:
        """The number of actions."""
        return int(self.values.shape[0])

    def used(self, choice: Ints) -> Floats:
        """Return what a choice uses of each limit, shape (m,)."""
        rows = np.flatnonzero(choice >= 0)
        chosen = choice[rows]
        counts = np.bincount(chosen, minlength=self.actions)[: self.actions]
        return np.concatenate([[self.costs[chosen, rows].sum()], self.uses @ counts])

    def value(self, choice: Ints) -> float:
        """Return the sum of the values of a choice."""
        rows = np.flatnonzero(choice >= 0)
        return float(self.values[choice[rows], rows].sum())

    def within_limits(self, choice: Ints) -> Ints:
        """Return the choice without the least valuable actions that take it above the budget by rounding.

        Solvers keep limits up to a tolerance of about a millionth; a budget is kept to the cent.
        """
        choice = choice.copy()
        limit = float(self.limits[0])
        if not np.isfinite(limit):
            return choice
        while (over := self.used(choice)[0] - limit) > _ROUNDING * limit:
            rows = np.flatnonzero(choice >= 0)
            values, costs = self.values[choice[rows], rows], self.costs[choice[rows], rows]
            enough = costs >= over
            candidates = rows[enough] if enough.any() else rows[costs > 0]
            among = values[enough] if enough.any() else values[costs > 0]
            choice[candidates[np.argmin(among)]] = NO_ACTION
        return choice

    def solution(self, choice: Ints, bound: float, prices: Floats, method: str) -> Allocation:
        """Return the result of a choice within the limits. prices: shape (m,)."""
        used, value = np.minimum(self.used(choice), self.limits), self.value(choice)
        least = _NO_PRICE * max(float(self.values.max(initial=0.0)), 0.0)
        constraints = tuple(
            Constraint(name, float(limit), float(spent), float(max(price, 0.0)), bool(price > least))
            for name, limit, spent, price in zip(self.names, self.limits, used, prices, strict=True)
        )
        return Allocation(choice, value, max(bound, value), method, constraints)
