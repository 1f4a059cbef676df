"""Coverage and width of the intervals of experiments that are looked at every day.

    python -m clm_dagster_tests.benchmarks --only experiments

Belongs here: simulated experiments, and how often intervals exclude the true effect. Does not: the intervals
(`clm_dagster.statistics.experiments`), words (`report_experiments`).

All experiments of a scenario are computed at once, from running sums by day. `agrees_with_effects` compares a sample
of the looks with the functions that the product calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, t

from clm_dagster.statistics.experiments.effects import (
    LEAST_CONVERSIONS,
    LEAST_CUSTOMERS,
    LEAST_EFFECTIVE,
    NotEnoughData,
    cuped_effect,
    rate_effect,
)
from clm_dagster.statistics.experiments.intervals import newcombe, shrunk_variances, welch
from clm_dagster.statistics.experiments.moments import Floats, Sums
from clm_dagster.statistics.experiments.sequential import AnytimeLook, FixedLook, boundary, information

Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]
DAYS = 60
CHOOSING, REPORTING = 1_000, 2_000
"""First seeds: constants were chosen with the former, figures are of the latter."""
# Numbers of one block of experiments (32 MB).
_BLOCK = 4_000_000


def revenue(buyers: float, sigma: float) -> Draw:
    """Return outcomes that are zero but for a share of buyers, whose spend is log-normal."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        return np.where(rng.random(shape) < buyers, rng.lognormal(3.5, sigma, shape), 0.0)[..., None]

    return draw


def conversions(rate: float) -> Draw:
    """Return outcomes of 0 and 1."""
    return lambda rng, shape: (rng.random(shape) < rate).astype(float)[..., None]


def with_history(buyers: float, sigma: float) -> Draw:
    """Return revenue and the revenue before: customers differ in how often they buy, and how much they spend."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        rate, level = rng.gamma(0.5, 2 * buyers, shape), rng.lognormal(3.5, sigma, shape)
        after, before = (rng.poisson(rate * weeks) * level for weeks in (1, 4))
        return np.stack([after, before], axis=-1).astype(float)

    return draw


@dataclass(frozen=True)
class Scenario:
    """Experiments of one kind.

    a_day: customers who enter on a day; the plan is what enters in half of the days. lift: the treatment multiplies
    revenue by it. mean: of one customer without treatment, needed for a lift.
    """

    draw: Draw
    a_day: int
    holdout: float
    kind: str = "mean"
    lift: float = 1.0
    mean: float = 0.0

    @property
    def effect(self) -> float:
        """The true difference of means."""
        return (self.lift - 1) * self.mean

    @property
    def planned(self) -> tuple[int, int]:
        """Planned customers in control and treated."""
        control = round(self.a_day * DAYS / 2 * self.holdout)
        return control, self.a_day * DAYS // 2 - control


_SPEND = float(np.exp(3.5 + 0.5))
"""Mean of a log-normal spend with sigma 1."""
SCENARIOS = {
    "revenue, 5% buy, 50/50": Scenario(revenue(0.05, 1.0), 200, 0.5),
    "revenue, 5% buy, 90/10": Scenario(revenue(0.05, 1.0), 200, 0.1),
    "revenue, 2% buy, heavy tail, 90/10": Scenario(revenue(0.02, 1.5), 200, 0.1),
    "revenue, 20% buy, 10 customers a day, 90/10": Scenario(revenue(0.2, 1.0), 10, 0.1),
    "revenue, 20% buy, heavy tail, 20 a day, 90/10": Scenario(revenue(0.2, 1.5), 20, 0.1),
    "revenue with CUPED, 90/10": Scenario(with_history(0.1, 1.0), 200, 0.1),
    "revenue with CUPED, 20 a day, 90/10": Scenario(with_history(0.3, 1.0), 20, 0.1),
    "revenue, 5% buy, 90/10, 20% more": Scenario(revenue(0.05, 1.0), 200, 0.1, lift=1.2, mean=0.05 * _SPEND),
    "revenue, 5% buy, 90/10, 20% less": Scenario(revenue(0.05, 1.0), 200, 0.1, lift=0.8, mean=0.05 * _SPEND),
    "conversion of 10%, 20 a day, 50/50": Scenario(conversions(0.1), 20, 0.5, "rate"),
    "conversion of 1%, 90/10": Scenario(conversions(0.01), 200, 0.1, "rate"),
    "conversion of 0.3%, 90/10": Scenario(conversions(0.003), 200, 0.1, "rate"),
    "conversion of 3%, 10 a day, 90/10": Scenario(conversions(0.03), 10, 0.1, "rate"),
}


@dataclass(frozen=True, eq=False)
class Running:
    """Sums up to each day: customers (experiments, days, 2), totals (..., 2, k), products (..., 2, k, k)."""

    customers: Floats
    totals: Floats
    products: Floats


@dataclass(frozen=True, eq=False)
class Looks:
    """The intervals of each experiment on each day; NaN where there is not enough data. Shape (experiments, days)."""

    low: Floats
    high: Floats
    effect: float = 0.0

    @property
    def wrong(self) -> Floats:
        """Whether each interval excludes the true effect."""
        return np.asarray((self.low > self.effect) | (self.high < self.effect), dtype=float)

    def ever_wrong(self) -> float:
        """Return the share of experiments with an interval that excludes the true effect on any day."""
        return float(self.wrong.any(axis=1).mean())


def measure(experiments: int = 10_000, first_seed: int = REPORTING) -> dict[str, Any]:
    """Return the figures of each scenario."""
    rows = []
    for at, (name, scenario) in enumerate(SCENARIOS.items()):
        rows.append({"scenario": name, **figures(scenario, experiments, first_seed + at)})
    rows.append({"scenario": "all mailed at once, revenue grows", **growing(experiments, first_seed + 100)})
    return {"experiments": experiments, "days": DAYS, "rows": rows}


def figures(scenario: Scenario, experiments: int, seed: int) -> dict[str, float]:
    """Return how often anytime and fixed intervals are wrong, and how wide they are beside each other."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // (DAYS * scenario.a_day))
    sizes = [min(block, experiments - start) for start in range(0, experiments, block)]
    parts = [looks(scenario, running(scenario, size, rng)) for size in sizes]
    return _figures(*(Looks(*_joined(parts, at), scenario.effect) for at in (0, 1)))


def _joined(parts: list[tuple[Looks, Looks]], at: int) -> tuple[Floats, Floats]:
    return np.concatenate([p[at].low for p in parts]), np.concatenate([p[at].high for p in parts])


def _figures(anytime: Looks, fixed: Looks) -> dict[str, float]:
    plan = DAYS // 2 - 1
    width = (anytime.high - anytime.low)[:, plan] / (fixed.high - fixed.low)[:, plan]
    known = ~np.isnan(fixed.low[:, plan])
    return {
        "anytime_wrong": anytime.ever_wrong(),
        "fixed_wrong_daily": fixed.ever_wrong(),
        "fixed_wrong_once": float(fixed.wrong[known, plan].mean()) if known.any() else float("nan"),
        "width": float(np.median(width[known])) if known.any() else float("nan"),
        "not_enough": float(1 - known.mean()),
    }


def running(scenario: Scenario, experiments: int, rng: np.random.Generator) -> Running:
    """Return the running sums of simulated experiments."""
    values = scenario.draw(rng, (experiments, DAYS, scenario.a_day))
    held_out = rng.random(values.shape[:-1]) < scenario.holdout
    values[..., 0] *= np.where(held_out, 1, scenario.lift)
    arms = np.stack([held_out, ~held_out], axis=-1).astype(float)
    return Running(
        arms.sum(axis=2).cumsum(axis=1),
        np.einsum("edca,edck->edak", arms, values).cumsum(axis=1),
        np.einsum("edca,edck,edcl->edakl", arms, values, values, optimize=True).cumsum(axis=1),
    )


def looks(scenario: Scenario, sums: Running) -> tuple[Looks, Looks]:
    """Return the anytime and the fixed intervals of every day."""
    progress = information(sums.customers[..., 0], sums.customers[..., 1]) / information(*scenario.planned)
    anytime = boundary(np.maximum(progress, 1e-9))
    fixed = np.full(progress.shape, FixedLook().critical)
    if scenario.kind == "rate":
        return _of_rates(sums, anytime), _of_rates(sums, fixed)
    return _of_means(sums, anytime), _of_means(sums, fixed)


def _of_rates(sums: Running, critical: Floats) -> Looks:
    counts, sizes = sums.totals[..., 0], np.maximum(sums.customers, 1)
    enough = (sizes >= LEAST_CUSTOMERS).all(axis=-1) & (counts.sum(axis=-1) >= LEAST_CONVERSIONS)
    once = FixedLook().critical
    low, high = newcombe(counts, sizes, once, critical / once)
    return Looks(np.where(enough, low, np.nan), np.where(enough, high, np.nan))


def _of_means(sums: Running, critical: Floats) -> Looks:
    sizes = np.maximum(sums.customers, 2)
    means = sums.totals / sizes[..., None]
    squares = sums.products / sizes[..., None, None] - means[..., :, None] * means[..., None, :]
    effective = sums.totals[..., 0].sum(axis=-1) ** 2 / np.maximum(
        sums.products[..., 0, 0].sum(axis=-1), 1e-12
    )
    share = sums.customers.min(axis=-1) / np.maximum(sums.customers.sum(axis=-1), 1)
    enough = (sums.customers >= LEAST_CUSTOMERS).all(axis=-1) & (effective * share >= LEAST_EFFECTIVE)
    outcome, variance, used = means[..., 0], squares[..., 0, 0], np.zeros(enough.shape)
    if means.shape[-1] == 2:
        pooled = (squares * sizes[..., None, None]).sum(axis=2)
        used = (sums.customers >= 20).all(axis=-1).astype(float)
        theta = (used * pooled[..., 0, 1] / np.maximum(pooled[..., 1, 1], 1e-12))[..., None]
        outcome = outcome - theta * means[..., 1]
        variance = variance - 2 * theta * squares[..., 0, 1] + theta**2 * squares[..., 1, 1]
    freedom = sizes - 1 - used[..., None]
    shrunk = shrunk_variances(variance * sizes / freedom, sizes, effective)
    square, degrees = welch(shrunk, sizes, used)
    inflation = t.isf(0.025, np.maximum(degrees, 1)) / norm.isf(0.025)
    half = critical * inflation * np.sqrt(square)
    difference = outcome[..., 1] - outcome[..., 0]
    return Looks(np.where(enough, difference - half, np.nan), np.where(enough, difference + half, np.nan))


def growing(experiments: int, seed: int, customers: int = 2_000, holdout: float = 0.1) -> dict[str, float]:
    """Return the figures where all customers are mailed on one day and their revenue grows from day to day.

    Customers differ in how often they buy. The progress is the share of the window, half of the days, that is over.
    """
    rng = np.random.default_rng(seed)
    control = int(customers * holdout)
    sizes = np.array([control, customers - control], dtype=float)
    critical = boundary(np.arange(1, DAYS + 1) / (DAYS / 2))[None]
    fixed = np.full_like(critical, FixedLook().critical)
    parts = []
    for _ in range(0, experiments, 50):
        rate = rng.gamma(0.5, 0.01, (50, 1, customers))
        bought = rng.random((50, DAYS, customers)) < rate
        spent = np.where(bought, rng.lognormal(3.5, 1.0, bought.shape), 0.0).cumsum(axis=1)
        arms = (spent[..., :control], spent[..., control:])
        sums = Running(
            np.broadcast_to(sizes, (50, DAYS, 2)),
            np.stack([arm.sum(axis=-1) for arm in arms], axis=-1)[..., None],
            np.stack([(arm**2).sum(axis=-1) for arm in arms], axis=-1)[..., None, None],
        )
        parts.append((_of_means(sums, critical), _of_means(sums, fixed)))
    return _figures(*(Looks(*_joined(parts, at)) for at in (0, 1)))


def agrees_with_effects(scenario: Scenario, seed: int, sample: int = 40) -> bool:
    """Return whether a sample of the looks equals what `cuped_effect` and `rate_effect` return for the same sums."""
    rng = np.random.default_rng(seed)
    sums = running(scenario, sample, rng)
    anytime, _ = looks(scenario, sums)
    days = rng.integers(0, DAYS, sample)
    for one, day in enumerate(days):
        sizes, totals = sums.customers[one, day].astype(int), sums.totals[one, day]
        share = float(information(*sizes) / information(*scenario.planned))
        look = AnytimeLook(progress=max(share, 1e-9))
        if scenario.kind == "rate":
            pairs = [(int(totals[a, 0]), int(sizes[a])) for a in (0, 1)]
            found = rate_effect(pairs[0], pairs[1], look)
        else:
            arms = [Sums(int(sizes[a]), totals[a], sums.products[one, day, a]) for a in (0, 1)]
            found = cuped_effect(arms[0], arms[1], look)
        ours = (anytime.low[one, day], anytime.high[one, day])
        theirs = (np.nan, np.nan) if isinstance(found, NotEnoughData) else (found.low, found.high)
        if not np.allclose(ours, theirs, rtol=1e-6, equal_nan=True):
            return False
    return True
