"""The race: candidates that are certainly worse are dropped before they are fitted on all customers.

Belongs here: the rule. Does not belong here: validation of those that stay (`validation`).

Every candidate is fitted on a sample of about `SAMPLE` training rows, the same customers for all, with its first
parameters. Blends are means of their members there. A candidate is dropped if its calibrated log loss on the validation
snapshots is above that of the best candidate with exact reasons by more than `STANDARD_ERRORS` standard errors of the
paired difference over customers, and if the same is true of all blends with it. A candidate without exact reasons
cannot win; it is dropped from `REFERENCE_ERRORS` standard errors, and stays to show what exact reasons cost. The
candidates in `kept` always stay. A shop with less than `LEAST` training rows has no race: the fits cost less than the
race saves.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.churn.candidates import SEED, Candidate
from clm_dagster.domains.churn.fitting import Fits, ordered
from clm_dagster.domains.churn.validation import blends_of, mean_log_odds
from clm_dagster.statistics.evaluation import TimeSplit, fit_shape

Floats = NDArray[np.float64]
SAMPLE = 4_000
LEAST = 2 * SAMPLE
STANDARD_ERRORS, REFERENCE_ERRORS = 3.0, 1.0


@dataclass(frozen=True)
class Race:
    """The result of a race; without one, all fields are empty.

    losses: the calibrated validation log loss of each candidate and blend, fitted on the sample. best: the best one
    with exact reasons. dropped: the candidates and blends that are not fitted on all customers. customers: training
    rows of the sample.
    """

    losses: Mapping[str, float] = field(default_factory=dict)
    exact: Mapping[str, bool] = field(default_factory=dict)
    best: str = ""
    dropped: tuple[str, ...] = ()
    customers: int = 0

    def __str__(self) -> str:
        if not self.dropped:
            return "no candidate was dropped in a race"
        lost = ", ".join(f"{name} ({self.losses[name]:.4f})" for name in self.dropped)
        return (
            f"{len(self.dropped)} candidates were dropped in a race on {self.customers:,} training rows, because their "
            f"log loss is above that of {self.best} ({self.losses[self.best]:.4f}) by more than {STANDARD_ERRORS:g} "
            f"standard errors ({REFERENCE_ERRORS:g} for candidates without exact reasons): {lost}"
        )


def race(selected: Sequence[Candidate], fits: Fits, split: TimeSplit, kept: Collection[str] = ()) -> Race:
    """Return which candidates lose. The same rows give the same result."""
    rows = sum(len(fits.y[day]) for day in split.fit)
    if rows < LEAST:
        return Race()
    sample = _sample(fits, split.fit, SAMPLE / rows)
    labels = [fits.y[day] for day in split.validation]
    scores: dict[str, list[Floats]] = {}
    for candidate in ordered(selected, fits.columns):
        model = sample.fit(candidate, candidate.search[0], split.fit)
        scores[candidate.name] = [sample.log_odds(model, day) for day in split.validation]
    blends = blends_of(scores)
    for name, members in blends.items():
        parts = zip(*(scores[member] for member in members), strict=True)
        scores[name] = [mean_log_odds(part) for part in parts]
    exact = {candidate.name: candidate.exact for candidate in selected}
    exact |= {name: all(exact[member] for member in members) for name, members in blends.items()}
    losses = {name: _losses(found, labels) for name, found in scores.items()}
    means = {name: float(found.mean()) for name, found in losses.items()}
    best = min((name for name in means if exact[name]), key=lambda name: (means[name], name))
    stays = {
        name
        for name, found in losses.items()
        if name in kept
        or not _loses(found - losses[best], STANDARD_ERRORS if exact[name] else REFERENCE_ERRORS)
    }
    stays |= {member for name, members in blends.items() if name in stays for member in members}
    dropped = [candidate.name for candidate in selected if candidate.name not in stays]
    dropped += [name for name, members in blends.items() if not stays.issuperset(members)]
    return Race(means, exact, best, tuple(dropped), sum(len(sample.y[day]) for day in split.fit))


def _sample(fits: Fits, days: Sequence[date], share: float) -> Fits:
    """Return the fits on a share of the customers of the given snapshots; other snapshots are whole."""
    x, y = dict(fits.x), dict(fits.y)
    for day in days:
        count = len(y[day])
        rows = np.sort(np.random.default_rng(SEED).permutation(count)[: max(1, round(share * count))])
        x[day], y[day] = x[day].iloc[rows], y[day][rows]
    return Fits(fits.columns, x, y)


def _losses(scores: list[Floats], labels: list[Floats]) -> Floats:
    """Return the log loss of each customer of the validation snapshots, calibrated at their own base rate."""
    p = np.clip(np.concatenate(fit_shape(scores, labels).probabilities), 1e-12, 1 - 1e-12)
    y = np.concatenate(labels)
    losses: Floats = -np.log(np.where(y == 1, p, 1 - p))
    return losses


def _loses(above: Floats, errors: float) -> bool:
    """Return whether the mean of n differences of losses is above zero by more than so many standard errors."""
    error = above.std(ddof=1) / np.sqrt(len(above))
    return bool(above.mean() > errors * error)
