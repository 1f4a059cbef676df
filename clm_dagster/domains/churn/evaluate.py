"""Evaluation of the churn candidates on one test snapshot. It returns a tested, calibrated model.

Belongs here: the order of the steps, and which snapshots each step may use. Does not belong here: the candidates
(`candidates`), the base rate (`base_rate`), reasons (`reasons`), Dagster, MLflow.

    settings = EvaluationSettings(horizon_days=90)
    plan = evaluation_plan(date(2011, 9, 10), first_day=date(2009, 12, 1), settings=settings)
    ...                                     # read the features at plan.snapshots and all mature labels
    result = evaluate_candidates(features, labels, plan, settings)
    result.table, result.verdict(), result.model.scores(snapshot, rate)

Order of the steps:

1. Fit each parameter set on the fit snapshots and compare them on the validation snapshots, each at its own base rate.
   Choose the calibration shape, the threshold and the winner there.
2. Fit every candidate again on all training snapshots.
3. Forecast the base rate at the test as_of from the data known at that date.
4. Compute the test metrics. Only this step uses the labels of the test snapshot.
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

from clm_dagster.domains.churn.base_rate import BaseRateForecast, BaseRates
from clm_dagster.domains.churn.candidates import (
    BLENDS,
    RECENCY,
    Candidate,
    LogOddsMean,
    candidates,
    fit_candidate,
    log_odds,
)
from clm_dagster.domains.churn.features import known_labels
from clm_dagster.domains.churn.leaks import leaky_columns
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.plan import EvaluationInputs, EvaluationSettings, prepare
from clm_dagster.statistics.evaluation import (
    Calibration,
    Difference,
    EvaluationPlan,
    Shape,
    TimeSplit,
    Verdict,
    best_f1_threshold,
    calibrate_to_rate,
    champion_verdict,
    classification_metrics,
    fast_auc,
    fast_log_loss,
    fit_shape,
    paired_differences,
    suspected_leak,
)

Floats = NDArray[np.float64]
BACKGROUND_ROWS = 2000


@dataclass(frozen=True)
class CandidateResult:
    """The result of one candidate. Metrics are those of `classification_metrics`.

    validation: mean over the validation snapshots, each at its own base rate. uncalibrated, test: on the test snapshot,
    without calibration and calibrated to the forecast base rate. test_at_constant_rate: calibrated to BG/NBD's base
    rate, which knows no season. auc_over_recency, auc_over_winner, loss_over_winner: differences on the test snapshot.
    """

    name: str
    parameters: Mapping[str, Any]
    exact: bool
    seconds: float
    shape: Shape
    threshold: float
    validation: dict[str, float]
    uncalibrated: dict[str, float]
    test: dict[str, float]
    test_at_constant_rate: dict[str, float]
    auc_over_recency: Difference
    auc_over_winner: Difference
    loss_over_winner: Difference


@dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation.

    base_rate: forecast for the test snapshot. leaks: a sentence for each suspected leak. test_probabilities:
    customer_id, churned, and one column of calibrated probabilities for each candidate.
    """

    split: TimeSplit
    results: dict[str, CandidateResult]
    winner: str
    model: ChurnModel
    base_rate: BaseRateForecast
    shape_losses: dict[str, float]
    leaks: tuple[str, ...]
    test_probabilities: pd.DataFrame
    inputs: EvaluationInputs = field(repr=False)
    fitted: dict[str, Any] = field(repr=False, default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """Return one row for each candidate, best validation log loss first."""
        rows = [
            {"candidate": one.name, "exact": one.exact, "seconds": one.seconds}
            | {f"validation_{k}": v for k, v in one.validation.items()}
            | {f"uncalibrated_{k}": v for k, v in one.uncalibrated.items()}
            | {f"test_{k}": v for k, v in one.test.items()}
            | {"auc_over_recency": str(one.auc_over_recency), "auc_over_winner": str(one.auc_over_winner)}
            for one in self.results.values()
        ]
        return pd.DataFrame(rows).sort_values(["validation_log_loss", "candidate"], ignore_index=True)

    def verdict(
        self,
        settings: EvaluationSettings,
        champion_probabilities: Floats | None = None,
        is_newest: bool = True,
    ) -> Verdict:
        """Return whether the winner becomes champion.

        champion_probabilities: of the current champion for the customers of the test snapshot, in their order; None if
        there is no champion.
        """
        best = self.results[self.winner]
        champion_loss = None
        if champion_probabilities is not None:
            labels = self.test_probabilities["churned"].to_numpy(float)
            both = {
                "winner": self.test_probabilities[self.winner].to_numpy(),
                "champion": champion_probabilities,
            }
            champion_loss = paired_differences(labels, both, "champion", fast_log_loss)["winner"]
        return champion_verdict(
            self.winner,
            RECENCY,
            best.auc_over_recency,
            best.test["calibration_error"],
            settings.calibration_limit,
            self.leaks,
            champion_loss,
            is_newest,
        )


def evaluate_candidates(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    plan: EvaluationPlan,
    settings: EvaluationSettings,
    selected: Iterable[Candidate] | None = None,
) -> EvaluationResult:
    """Evaluate candidates according to a plan.

    features: rows of core.customer_features at every snapshot of the plan, in any order. labels: rows of
    core.churn_labels (as_of, customer_id, horizon_days, churned) at the training snapshots, the test snapshot and the
    history of the plan, as far as they exist. selected: None for all candidates. The same input gives the same numbers.

    Raise EvaluationError if no evaluation is possible; the message says what is missing.
    """
    # One thread in each library. On a busy machine boosting waits at every tree for its slowest thread (measured: 20
    # times as long with two), and a single thread fixes the order of summation on every machine.
    chosen = candidates(settings.lightgbm) if selected is None else selected
    with threadpool_limits(limits=1):
        return _evaluate(features, labels, plan, settings, chosen)


def _evaluate(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    plan: EvaluationPlan,
    settings: EvaluationSettings,
    selected: Iterable[Candidate],
) -> EvaluationResult:
    split, inputs = plan.split, prepare(features, labels, plan, settings)
    frames, x, y = inputs.frames, inputs.x, inputs.y
    leaks = leaky_columns(
        pd.concat([frames[day] for day in split.training]),
        np.concatenate([y[day] for day in split.training]),
        settings.leak_auc,
    )
    runs = [_validate(candidate, inputs.columns, x, y, split) for candidate in selected]
    runs += _blends({run.name: run for run in runs})
    winner = min((run for run in runs if run.exact), key=lambda run: (run.validation["log_loss"], run.name))

    known = {day: known_labels(frames, labels, day) for day in plan.history if day in frames}
    base_rates = BaseRates(
        frames,
        {day: found for day, found in known.items() if found is not None},
        inputs.purchase_models,
        settings.horizon_days,
        settings.spacing_days,
    )
    base_rate = base_rates.forecast(split.test, [day for day in plan.history if day in frames])
    return _test(runs, winner, base_rate, leaks, inputs, split, settings)


# ------------------------------------------------------------------------------- one candidate, validation


@dataclass(frozen=True)
class _Validated:
    """A candidate after validation and before the test. model: fitted on all training snapshots."""

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


def _validate(
    candidate: Candidate,
    columns: list[str],
    x: Mapping[date, pd.DataFrame],
    y: Mapping[date, Floats],
    split: TimeSplit,
) -> _Validated:
    """Search parameters and choose the calibration shape on validation, then fit on all training snapshots."""
    start = time.perf_counter()
    tries: list[tuple[float, int, Mapping[str, Any], _Validated]] = []
    for parameters in candidate.search:
        early = _fit(candidate, columns, parameters, x, y, split.fit)
        scores = [log_odds(early, x[day]) for day in split.validation]
        found = _calibrate(scores, [y[day] for day in split.validation])
        tries.append((found.validation["log_loss"], len(tries), parameters, found))
    _, _, parameters, found = min(tries, key=lambda attempt: attempt[:2])
    model = _fit(candidate, columns, parameters, x, y, split.training)
    return replace(
        found,
        name=candidate.name,
        exact=candidate.exact,
        parameters=parameters,
        model=model,
        seconds=time.perf_counter() - start,
    )


def _fit(
    candidate: Candidate,
    columns: list[str],
    parameters: Mapping[str, Any],
    x: Mapping[date, pd.DataFrame],
    y: Mapping[date, Floats],
    days: tuple[date, ...],
) -> Any:
    rows = pd.concat([x[day] for day in days], ignore_index=True)
    labels = np.concatenate([y[day] for day in days])
    snapshots = np.repeat(np.arange(len(days)), [len(y[day]) for day in days])
    return fit_candidate(candidate, columns, parameters, rows, labels, snapshots)


def _calibrate(scores: list[Floats], labels: list[Floats]) -> _Validated:
    """Choose shape and threshold for validation log-odds and compute metrics, each snapshot at its own base rate."""
    found = fit_shape(scores, labels)
    threshold = best_f1_threshold(np.concatenate(labels), np.concatenate(found.probabilities))
    each = [classification_metrics(y, p, threshold) for y, p in zip(labels, found.probabilities, strict=True)]
    mean = {name: float(np.mean([metrics[name] for metrics in each])) for name in each[0]}
    return _Validated("", {}, False, found.shape, found.losses, threshold, mean, scores, labels, None, 0.0)


def _blends(runs: Mapping[str, _Validated]) -> list[_Validated]:
    """Return the blends whose members were all validated: means of the log-odds of the fitted members."""
    result = []
    for name, members in BLENDS.items():
        if all(member in runs for member in members):
            parts = [runs[member] for member in members]
            scores = [
                np.mean(z, axis=0) for z in zip(*(part.validation_log_odds for part in parts), strict=True)
            ]
            found = _calibrate(scores, parts[0].validation_labels)
            result.append(
                replace(
                    found,
                    name=name,
                    exact=all(part.exact for part in parts),
                    parameters={"members": members},
                    model=LogOddsMean([part.model for part in parts]),
                    seconds=sum(part.seconds for part in parts),
                )
            )
    return result


# ------------------------------------------------------------------------------- all candidates, test


def _test(
    runs: list[_Validated],
    winner: _Validated,
    base_rate: BaseRateForecast,
    leaks: tuple[str, ...],
    inputs: EvaluationInputs,
    split: TimeSplit,
    settings: EvaluationSettings,
) -> EvaluationResult:
    frame, x, labels = inputs.frames[split.test], inputs.x[split.test], inputs.y[split.test]
    uncalibrated = {run.name: log_odds(run.model, x) for run in runs}
    calibrations = {
        run.name: calibrate_to_rate(uncalibrated[run.name], run.shape, base_rate.rate) for run in runs
    }
    probabilities = {name: calibration(uncalibrated[name]) for name, calibration in calibrations.items()}
    reference = RECENCY if RECENCY in probabilities else winner.name
    auc_over_recency = paired_differences(labels, probabilities, reference, fast_auc)
    auc_over_winner = paired_differences(labels, probabilities, winner.name, fast_auc)
    loss_over_winner = paired_differences(labels, probabilities, winner.name, fast_log_loss)
    results = {}
    for run in runs:
        scores = uncalibrated[run.name]
        at_constant_rate = calibrate_to_rate(scores, run.shape, base_rate.rates["constant_rate"])
        results[run.name] = CandidateResult(
            name=run.name,
            parameters=run.parameters,
            exact=run.exact,
            seconds=run.seconds,
            shape=run.shape,
            threshold=run.threshold,
            validation=run.validation,
            uncalibrated=classification_metrics(labels, expit(scores), run.threshold),
            test=classification_metrics(labels, probabilities[run.name], run.threshold),
            test_at_constant_rate=classification_metrics(labels, at_constant_rate(scores), run.threshold),
            auc_over_recency=auc_over_recency[run.name],
            auc_over_winner=auc_over_winner[run.name],
            loss_over_winner=loss_over_winner[run.name],
        )
    suspicions = [
        suspected_leak(name, one.test["roc_auc"], settings.leak_auc) for name, one in results.items()
    ]
    recency = next((run for run in runs if run.name == RECENCY), None)
    baseline = None
    if recency is not None:
        # Its reasons and its drift are about recency only.
        baseline = _model(recency, ["recency_days"], calibrations[RECENCY], inputs, split, settings)
    model = replace(
        _model(winner, inputs.columns, calibrations[winner.name], inputs, split, settings), baseline=baseline
    )
    customers = {"customer_id": frame["customer_id"], "churned": labels.astype(int)}
    return EvaluationResult(
        split=split,
        results=results,
        winner=winner.name,
        model=model,
        base_rate=base_rate,
        shape_losses=winner.shape_losses,
        leaks=(*leaks, *(text for text in suspicions if text)),
        test_probabilities=pd.DataFrame(customers | probabilities),
        inputs=inputs,
        fitted={run.name: run.model for run in runs},
    )


def _model(
    run: _Validated,
    columns: list[str],
    calibration: Calibration,
    inputs: EvaluationInputs,
    split: TimeSplit,
    settings: EvaluationSettings,
) -> ChurnModel:
    """Return a validated candidate as a model that scores. columns: those that it takes."""
    training_rows = pd.concat([inputs.x[day][columns] for day in split.training], ignore_index=True)
    return ChurnModel(
        name=run.name,
        estimator=run.model,
        columns=tuple(columns),
        purchase_model=inputs.purchase_models[split.test],
        shape=run.shape,
        calibration=calibration,
        threshold=run.threshold,
        background=_sample(training_rows),
        test_sample=_sample(inputs.x[split.test][columns]),
        trained_as_of=split.training[-1],
        tested_as_of=split.test,
        horizon_days=settings.horizon_days,
    )


def _sample(frame: pd.DataFrame) -> pd.DataFrame:
    """Return at most BACKGROUND_ROWS rows; the same frame always gives the same rows."""
    rows = np.sort(np.random.default_rng(0).permutation(len(frame))[:BACKGROUND_ROWS])
    return frame.iloc[rows].reset_index(drop=True)
