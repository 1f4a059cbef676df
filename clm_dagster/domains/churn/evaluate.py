"""Evaluation of the churn candidates on one test snapshot. It returns a tested, calibrated model.

Belongs here: the order of the steps, and which snapshots each step may use. Does not belong here: the candidates
(`candidates`), the base rate (`base_rate`), reasons (`reasons`), Dagster, MLflow.

    settings = EvaluationSettings(horizon_days=90)
    plan = evaluation_plan(date(2011, 9, 10), first_day=date(2009, 12, 1), settings=settings)
    ...                                     # read the features at plan.snapshots and all mature labels
    result = evaluate_candidates(features, labels, plan, settings)
    result.table, result.verdict(), result.model.scores(snapshot, rate)

Order of the steps:

0. Drop candidates that are certainly worse on a sample (`race`).
1. Fit each parameter set on the fit snapshots and compare them on the validation snapshots, each at its own base rate.
   Choose the calibration shape, the threshold and the winner there.
2. Fit every candidate again on all training snapshots.
3. Forecast the base rate at the test as_of from the data known at that date.
4. Compute the test metrics. Only this step uses the labels of the test snapshot.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn.base_rate import BaseRateForecast, BaseRates
from clm_dagster.domains.churn.candidates import BASELINES, Candidate, candidates
from clm_dagster.domains.churn.features import known_labels, labels_by_snapshot
from clm_dagster.domains.churn.fitting import Fits
from clm_dagster.domains.churn.leaks import leaky_columns
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.names import RECENCY
from clm_dagster.domains.churn.plan import EvaluationInputs, prepare
from clm_dagster.domains.churn.race import Race, race
from clm_dagster.domains.churn.table_settings import EvaluationSettings
from clm_dagster.domains.churn.validation import Validated, validate
from clm_dagster.statistics.evaluation import (
    Calibration,
    Difference,
    EvaluationPlan,
    Resampled,
    Shape,
    TimeSplit,
    Verdict,
    calibrate_to_rate,
    champion_verdict,
    classification_metrics,
    fast_auc,
    fast_log_loss,
    paired_differences,
    suspected_leak,
)
from clm_dagster.statistics.evaluation.learning import LearningCurve

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
    customer_id, churned, and one column of calibrated probabilities for each candidate. race: who was dropped early;
    those have no result. learning: over the customers of the sample, where the training computes it.
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
    race: Race = field(default_factory=Race)
    learning: LearningCurve | None = None

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
    with_race: bool = True,
) -> EvaluationResult:
    """Evaluate candidates according to a plan.

    features: rows of core.customer_features at every snapshot of the plan, in any order. labels: rows of
    core.churn_labels (as_of, customer_id, horizon_days, churned) at the training snapshots, the test snapshot and the
    history of the plan, as far as they exist. selected: None for all candidates. with_race: whether candidates may be
    dropped early (`race`). The same input gives the same numbers.

    Raise EvaluationError if no evaluation is possible; the message says what is missing.
    """
    # One thread in each library. On a busy machine boosting waits at every tree for its slowest thread (measured: 20
    # times as long with two), and a single thread fixes the order of summation on every machine.
    chosen = candidates(settings.lightgbm) if selected is None else selected
    with threadpool_limits(limits=1):
        return _evaluate(features, labels, plan, settings, chosen, with_race)


def _evaluate(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    plan: EvaluationPlan,
    settings: EvaluationSettings,
    selected: Iterable[Candidate],
    with_race: bool,
) -> EvaluationResult:
    split, inputs = plan.split, prepare(features, labels, plan, settings)
    frames, x, y = inputs.frames, inputs.x, inputs.y
    leaks = leaky_columns(
        pd.concat([frames[day] for day in split.training]),
        np.concatenate([y[day] for day in split.training]),
        settings.leak_auc,
    )
    fits = Fits(inputs.columns, x, y)
    entrants = list(selected)
    lost = race(entrants, fits, split, BASELINES) if with_race else Race()
    runs = validate([candidate for candidate in entrants if candidate.name not in lost.dropped], fits, split)
    winner = min((run for run in runs if run.exact), key=lambda run: (run.validation["log_loss"], run.name))

    by_day = labels_by_snapshot(labels)
    known = {day: known_labels(frames, by_day, day) for day in plan.history if day in frames}
    base_rates = BaseRates(
        frames,
        {day: found for day, found in known.items() if found is not None},
        inputs.purchase_models,
        settings.horizon_days,
        settings.spacing_days,
    )
    base_rate = base_rates.forecast(split.test, [day for day in plan.history if day in frames])
    return _test(runs, winner, base_rate, leaks, inputs, split, settings, lost)


# ------------------------------------------------------------------------------- all candidates, test


def _test(
    runs: list[Validated],
    winner: Validated,
    base_rate: BaseRateForecast,
    leaks: tuple[str, ...],
    inputs: EvaluationInputs,
    split: TimeSplit,
    settings: EvaluationSettings,
    lost: Race,
) -> EvaluationResult:
    frame, labels = inputs.frames[split.test], inputs.y[split.test]
    uncalibrated = {run.name: run.test_log_odds for run in runs}
    calibrations = {
        run.name: calibrate_to_rate(uncalibrated[run.name], run.shape, base_rate.rate) for run in runs
    }
    probabilities = {name: calibration(uncalibrated[name]) for name, calibration in calibrations.items()}
    reference = RECENCY if RECENCY in probabilities else winner.name
    aucs = Resampled.of(labels, probabilities, fast_auc)
    auc_over_recency, auc_over_winner = aucs.over(reference), aucs.over(winner.name)
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
        race=lost,
    )


def _model(
    run: Validated,
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
