"""Validation of the churn candidates: parameters, calibration shape, threshold and validation metrics.

Belongs here: everything that is chosen on the validation snapshots, and the fits of step 1 and 2 of an evaluation. Does
not belong here: the test (`evaluate`), shared work of fits (`fitting`).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.churn.candidates import BLENDS, Candidate, LogOddsMean
from clm_dagster.domains.churn.fitting import Fits, ordered
from clm_dagster.statistics.evaluation import (
    Shape,
    TimeSplit,
    best_f1_threshold,
    classification_metrics,
    fast_log_loss,
    fit_shape,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Validated:
    """A candidate after validation and before the test.

    model: fitted on all training snapshots. test_log_odds: its uncalibrated log-odds on the test snapshot. members: of
    a blend, empty otherwise.
    """

    name: str
    parameters: Mapping[str, Any]
    exact: bool
    shape: Shape
    shape_losses: dict[str, float]
    threshold: float
    validation: dict[str, float]
    model: Any
    test_log_odds: Floats
    seconds: float
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Searched:
    """The best parameters of a candidate, and its log-odds on the validation snapshots."""

    parameters: Mapping[str, Any]
    log_odds: list[Floats]
    seconds: float


def validate(selected: Sequence[Candidate], fits: Fits, split: TimeSplit) -> list[Validated]:
    """Search parameters on validation, then fit on all training snapshots. Return the blends of the candidates too."""
    labels = [fits.y[day] for day in split.validation]
    order = ordered(selected, fits.columns)
    searched = {candidate.name: _search(candidate, fits, split, labels) for candidate in order}
    fitted: dict[str, tuple[Any, Floats]] = {}
    seconds: dict[str, float] = {}
    for candidate in order:
        with _clock(candidate.name, seconds):
            model = fits.fit(candidate, searched[candidate.name].parameters, split.training)
            fitted[candidate.name] = model, fits.log_odds(model, split.test)
    found = [
        _validated(
            candidate.name,
            searched[candidate.name].parameters,
            candidate.exact,
            searched[candidate.name].log_odds,
            labels,
            *fitted[candidate.name],
            searched[candidate.name].seconds + seconds[candidate.name],
        )
        for candidate in selected
    ]
    return [*found, *_blends({one.name: one for one in found}, searched, labels)]


def _search(candidate: Candidate, fits: Fits, split: TimeSplit, labels: list[Floats]) -> _Searched:
    """Return the parameters with the smallest validation log loss, the first of equals."""
    seconds: dict[str, float] = {}
    tries: list[tuple[float, int, Mapping[str, Any], list[Floats]]] = []
    with _clock(candidate.name, seconds):
        for parameters in candidate.search:
            early = fits.fit(candidate, parameters, split.fit)
            scores = [fits.log_odds(early, day) for day in split.validation]
            loss = calibrated_loss(scores, labels) if len(candidate.search) > 1 else 0.0
            tries.append((loss, len(tries), parameters, scores))
    _, _, parameters, scores = min(tries, key=lambda attempt: attempt[:2])
    return _Searched(parameters, scores, seconds[candidate.name])


def calibrated_loss(scores: list[Floats], labels: list[Floats]) -> float:
    """Return the mean log loss of calibrated validation log-odds, each snapshot at its own base rate."""
    found = fit_shape(scores, labels)
    return float(np.mean([fast_log_loss(y, p) for y, p in zip(labels, found.probabilities, strict=True)]))


def _validated(
    name: str,
    parameters: Mapping[str, Any],
    exact: bool,
    scores: list[Floats],
    labels: list[Floats],
    model: Any,
    test_log_odds: Floats,
    seconds: float,
    members: tuple[str, ...] = (),
) -> Validated:
    """Choose shape and threshold for validation log-odds and compute metrics, each snapshot at its own base rate."""
    found = fit_shape(scores, labels)
    threshold = best_f1_threshold(np.concatenate(labels), np.concatenate(found.probabilities))
    each = [classification_metrics(y, p, threshold) for y, p in zip(labels, found.probabilities, strict=True)]
    mean = {metric: float(np.mean([metrics[metric] for metrics in each])) for metric in each[0]}
    return Validated(
        name,
        parameters,
        exact,
        found.shape,
        found.losses,
        threshold,
        mean,
        model,
        test_log_odds,
        seconds,
        members,
    )


def mean_log_odds(parts: Sequence[Floats]) -> Floats:
    """Return the log-odds of a blend from those of its members, as `LogOddsMean` does."""
    mean: Floats = np.mean(parts, axis=0)
    return mean


def blends_of(names: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the blends whose members all have these names."""
    return {name: members for name, members in BLENDS.items() if all(member in names for member in members)}


def _blends(
    runs: Mapping[str, Validated], searched: Mapping[str, _Searched], labels: list[Floats]
) -> list[Validated]:
    """Return the blends of validated candidates, from the stored log-odds of their members."""
    result = []
    for name, members in blends_of(runs).items():
        parts = [runs[member] for member in members]
        scores = [
            mean_log_odds(z) for z in zip(*(searched[member].log_odds for member in members), strict=True)
        ]
        result.append(
            _validated(
                name,
                {"members": members},
                all(part.exact for part in parts),
                scores,
                labels,
                LogOddsMean([part.model for part in parts]),
                mean_log_odds([part.test_log_odds for part in parts]),
                sum(part.seconds for part in parts),
                members,
            )
        )
    return result


@contextmanager
def _clock(name: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
