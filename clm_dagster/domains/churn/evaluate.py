"""The churn contest of one test snapshot: frames and labels in, a judged and calibrated model out.

Belongs here: the order of the contest, what is fitted on which snapshots, the model that comes out of it.
Does not: who takes part (`candidates`), the base rate (`level`), reasons (`reasons`), Dagster, MLflow.

    settings = EvaluationSettings(horizon_days=90)
    plan = evaluation_plan(date(2011, 9, 10), first_day=date(2009, 12, 1), settings=settings)
    ...                                     # read the features at plan.snapshots, and all mature labels
    result = evaluate_candidates(features, labels, plan, settings)
    result.table, result.verdict(), result.model.scores(snapshot, rate)

The order, and what each step may see: candidates are fitted on the fit part and searched on the validation
snapshots, each at its own level; there the shape of calibration, the threshold and the winner are chosen. All
are fitted again on the whole training part. The level at the test as_of is forecast from what was known
then. The labels of the test snapshot come in last, to judge.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn.candidates import (
    BLENDS,
    RECENCY,
    Candidate,
    LogOddsMean,
    candidates,
    fitted,
    log_odds,
)
from clm_dagster.domains.churn.features import (
    known_labels,
)
from clm_dagster.domains.churn.leaks import leaky_columns
from clm_dagster.domains.churn.level import LevelForecast, Levels
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.plan import EvaluationSettings, Prepared, prepare
from clm_dagster.statistics.evaluation import (
    Difference,
    EvaluationPlan,
    Shape,
    TimeSplit,
    Verdict,
    at_level,
    best_f1_threshold,
    classification_metrics,
    fast_auc,
    fast_log_loss,
    fit_shape,
    judge,
    paired_differences,
    suspected_leak,
)

Floats = NDArray[np.float64]
BACKGROUND_ROWS = 2000


@dataclass(frozen=True)
class CandidateResult:
    """One candidate's result. Metrics are `classification_metrics`; before: without calibration.

    validation: mean over the validation snapshots, each at its own level. test_purchase_level: calibrated, but at
    BG/NBD's level instead of the season-aware one. auc_over_recency, loss_over_winner: on the test snapshot.
    """

    name: str
    parameters: Mapping[str, Any]
    exact: bool
    seconds: float
    shape: Shape
    threshold: float
    validation: dict[str, float]
    before: dict[str, float]
    test: dict[str, float]
    test_purchase_level: dict[str, float]
    auc_over_recency: Difference
    auc_over_winner: Difference
    loss_over_winner: Difference


@dataclass(frozen=True)
class EvaluationResult:
    """All a contest found: results, the winner's model, the level, suspicions, and the test's probabilities."""

    split: TimeSplit
    results: dict[str, CandidateResult]
    winner: str
    model: ChurnModel
    level: LevelForecast
    shape_losses: dict[str, float]
    leaks: tuple[str, ...]
    test_probabilities: pd.DataFrame  # customer_id, churned, one column for each candidate, calibrated
    given: Prepared = field(repr=False)
    fitted: dict[str, Any] = field(repr=False, default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """One row for each candidate, best validation log loss first."""
        rows = [
            {"contestant": s.name, "exact": s.exact, "seconds": s.seconds}
            | {f"validation_{k}": v for k, v in s.validation.items()}
            | {f"before_{k}": v for k, v in s.before.items()}
            | {f"test_{k}": v for k, v in s.test.items()}
            | {"auc_over_recency": str(s.auc_over_recency), "auc_over_winner": str(s.auc_over_winner)}
            for s in self.results.values()
        ]
        return pd.DataFrame(rows).sort_values(["validation_log_loss", "contestant"], ignore_index=True)

    def verdict(
        self,
        settings: EvaluationSettings,
        champion_probabilities: Floats | None = None,
        is_newest: bool = True,
    ) -> Verdict:
        """Whether the winner becomes champion. The present champion's probabilities are of the same customers."""
        best = self.results[self.winner]
        worse = None
        if champion_probabilities is not None:
            labels = self.test_probabilities["churned"].to_numpy(float)
            both = {
                "winner": self.test_probabilities[self.winner].to_numpy(),
                "champion": champion_probabilities,
            }
            worse = paired_differences(labels, both, "champion", fast_log_loss)["winner"]
        return judge(
            self.winner, RECENCY, best.auc_over_recency, best.test["calibration_error"],
            settings.calibration_limit, self.leaks, worse, is_newest,
        )  # fmt: skip


def evaluate_candidates(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    plan: EvaluationPlan,
    settings: EvaluationSettings,
    entries: Iterable[Candidate] | None = None,
) -> EvaluationResult:
    """Hold the contest of a plan.

    features: rows of core.customer_features at every snapshot of the plan, any order of rows. labels: rows
    of core.churn_labels (as_of, customer_id, horizon_days, churned) at its training snapshots, its test, and
    as many of its history as there are. Same input, same numbers.

    Raises EvaluationError for what makes a contest impossible; the message says what is missing.
    """
    # One thread in each library: boosting on a busy machine waits at every tree for the slowest of its threads
    # (measured: 20 times as long with two), and sums are added up in one order whatever the machine.
    with threadpool_limits(limits=1):
        return _hold(features, labels, plan, settings, candidates() if entries is None else entries)


def _hold(
    features: pd.DataFrame, labels: pd.DataFrame, plan: EvaluationPlan, settings: EvaluationSettings,
    entries: Iterable[Candidate],
) -> EvaluationResult:  # fmt: skip
    split, given = plan.split, prepare(features, labels, plan, settings)
    frames, x, y = given.frames, given.x, given.y
    leaks = leaky_columns(
        pd.concat([frames[day] for day in split.training]),
        np.concatenate([y[day] for day in split.training]),
        settings.leak_auc,
    )
    runs = [_run(entry, given.columns, x, y, split) for entry in entries]
    runs += _blends({run.name: run for run in runs})
    winner = min((run for run in runs if run.exact), key=lambda run: (run.validation["log_loss"], run.name))

    known = {day: known_labels(frames, labels, day) for day in plan.history if day in frames}
    levels = Levels(
        frames, {day: found for day, found in known.items() if found is not None}, given.paces,
        settings.horizon_days, settings.spacing_days,
    )  # fmt: skip
    level = levels.forecast(split.test, [day for day in plan.history if day in frames])
    return _judged(runs, winner, level, leaks, given, split, settings)


# ------------------------------------------------------------------------------------- one candidate


@dataclass(frozen=True)
class _Run:
    """A candidate between validation and test."""

    name: str
    parameters: Mapping[str, Any]
    exact: bool
    shape: Shape
    shape_losses: dict[str, float]
    threshold: float
    validation: dict[str, float]
    validation_log_odds: list[Floats]
    validation_labels: list[Floats]
    model: Any
    seconds: float


def _run(
    entry: Candidate,
    columns: list[str],
    x: Mapping[date, pd.DataFrame],
    y: Mapping[date, Floats],
    split: TimeSplit,
) -> _Run:
    """Search on validation, choose the shape there, fit again on all of training."""
    start = time.perf_counter()
    tries: list[tuple[float, int, Mapping[str, Any], _Run]] = []
    for parameters in entry.search:
        early = _fit(entry, columns, parameters, x, y, split.fit)
        scores = [log_odds(early, x[day]) for day in split.validation]
        found = _validated(scores, [y[day] for day in split.validation])
        tries.append((found.validation["log_loss"], len(tries), parameters, found))
    _, _, parameters, found = min(tries, key=lambda tried: tried[:2])
    model = _fit(entry, columns, parameters, x, y, split.training)
    return replace(
        found, name=entry.name, exact=entry.exact, parameters=parameters, model=model,
        seconds=time.perf_counter() - start,
    )  # fmt: skip


def _fit(
    entry: Candidate, columns: list[str], parameters: Mapping[str, Any], x: Mapping[date, pd.DataFrame],
    y: Mapping[date, Floats], days: tuple[date, ...],
) -> Any:  # fmt: skip
    together = pd.concat([x[day] for day in days], ignore_index=True)
    numbers = np.repeat(np.arange(len(days)), [len(y[day]) for day in days])
    return fitted(entry, columns, parameters, together, np.concatenate([y[day] for day in days]), numbers)


def _validated(scores: list[Floats], labels: list[Floats]) -> _Run:
    """Shape, threshold and metrics of log-odds on the validation snapshots, each at its own level."""
    found = fit_shape(scores, labels)
    threshold = best_f1_threshold(np.concatenate(labels), np.concatenate(found.probabilities))
    each = [classification_metrics(y, p, threshold) for y, p in zip(labels, found.probabilities, strict=True)]
    mean = {name: float(np.mean([metrics[name] for metrics in each])) for name in each[0]}
    return _Run("", {}, False, found.shape, found.losses, threshold, mean, scores, labels, None, 0.0)


def _blends(runs: Mapping[str, _Run]) -> list[_Run]:
    """Means of log-odds of those that ran, fitted ones taken together as they are."""
    result = []
    for name, members in BLENDS.items():
        if all(member in runs for member in members):
            parts = [runs[member] for member in members]
            scores = [
                np.mean(z, axis=0) for z in zip(*(part.validation_log_odds for part in parts), strict=True)
            ]
            found = _validated(scores, parts[0].validation_labels)
            result.append(
                replace(
                    found, name=name, exact=all(part.exact for part in parts), parameters={"members": members},
                    model=LogOddsMean([part.model for part in parts]), seconds=sum(part.seconds for part in parts),
                )
            )  # fmt: skip
    return result


# ------------------------------------------------------------------------------------------ the test


def _judged(
    runs: list[_Run], winner: _Run, level: LevelForecast, leaks: tuple[str, ...], given: Prepared,
    split: TimeSplit, settings: EvaluationSettings,
) -> EvaluationResult:  # fmt: skip
    frame, test, labels = given.frames[split.test], given.x[split.test], given.y[split.test]
    raw = {run.name: log_odds(run.model, test) for run in runs}
    calibrations = {run.name: at_level(raw[run.name], run.shape, level.rate) for run in runs}
    said = {name: calibration(raw[name]) for name, calibration in calibrations.items()}
    reference = RECENCY if RECENCY in said else winner.name
    over_recency = paired_differences(labels, said, reference, fast_auc)
    over_winner = paired_differences(labels, said, winner.name, fast_auc)
    loss = paired_differences(labels, said, winner.name, fast_log_loss)
    results = {
        run.name: CandidateResult(
            run.name, run.parameters, run.exact, run.seconds, run.shape, run.threshold, run.validation,
            classification_metrics(labels, expit(raw[run.name]), run.threshold),
            classification_metrics(labels, said[run.name], run.threshold),
            classification_metrics(
                labels, at_level(raw[run.name], run.shape, level.rates["rhythm"])(raw[run.name]), run.threshold
            ),
            over_recency[run.name], over_winner[run.name], loss[run.name],
        )
        for run in runs
    }  # fmt: skip
    suspicions = [suspected_leak(name, s.test["roc_auc"], settings.leak_auc) for name, s in results.items()]
    together = pd.concat([given.x[day] for day in split.training], ignore_index=True)
    model = ChurnModel(
        name=winner.name, estimator=winner.model, columns=tuple(test.columns),
        pace=given.paces[split.test], shape=winner.shape,
        calibration=calibrations[winner.name], threshold=winner.threshold,
        background=_sample(together), judged=_sample(test), trained_as_of=split.training[-1],
        tested_as_of=split.test, horizon_days=settings.horizon_days,
    )  # fmt: skip
    probabilities = pd.DataFrame({"customer_id": frame["customer_id"], "churned": labels.astype(int)} | said)
    return EvaluationResult(
        split, results, winner.name, model, level, winner.shape_losses,
        (*leaks, *(text for text in suspicions if text)), probabilities, given,
        {run.name: run.model for run in runs},
    )  # fmt: skip


def _sample(frame: pd.DataFrame) -> pd.DataFrame:
    """At most BACKGROUND_ROWS rows, always the same of the same frame."""
    rows = np.sort(np.random.default_rng(0).permutation(len(frame))[:BACKGROUND_ROWS])
    return frame.iloc[rows].reset_index(drop=True)
