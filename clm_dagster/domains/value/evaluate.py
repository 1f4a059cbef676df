"""Evaluation of the value candidates on one test snapshot. It returns a tested model with intervals and tiers.

Belongs here: the order of the steps, and which snapshots each step may use. Does not belong here: the candidates
(`candidates`), the level (`level`), Dagster, MLflow.

    settings = EvaluationSettings(horizon_days=90)
    plan = evaluation_plan(date(2011, 9, 10), first_day=date(2009, 12, 1), settings=settings)
    ...                                     # read the features at plan.snapshots and all mature labels
    result = evaluate_candidates(features, labels, plan, settings)
    result.table, result.verdict(), result.model.scores(snapshot, level)

Order of the steps:

1. Divide the revenue of each training snapshot by its own level. Fit each parameter set on the fit snapshots and
   compare them on the validation snapshots, each scaled to its own level. Choose the winner, the intervals and the
   tiers there.
2. Fit every candidate again on all training snapshots.
3. Forecast the level at the test as_of from the data known at that date.
4. Compute the test metrics. Only this step uses the labels of the test snapshot.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clm_dagster.domains.value.candidates import (
    BLENDS,
    Candidate,
    Predictor,
    candidates,
    fit_candidate,
    mean_predictor,
)
from clm_dagster.domains.value.features import past_rate
from clm_dagster.domains.value.gates import IntervalCoverage, value_verdict
from clm_dagster.domains.value.intervals import fit_intervals
from clm_dagster.domains.value.level import LevelForecast, capped_total, multiplier, scaled_to_total
from clm_dagster.domains.value.metrics import (
    counted_capture,
    counted_mae,
    deciles,
    mae,
    revenue_capture,
    value_metrics,
)
from clm_dagster.domains.value.model import SnapshotLevel, ValueModel
from clm_dagster.domains.value.names import BASELINES
from clm_dagster.domains.value.plan import EvaluationInputs, prepare, training_rows
from clm_dagster.domains.value.table_settings import EvaluationSettings
from clm_dagster.domains.value.tiers import evaluate_tier_methods, fit_tiers
from clm_dagster.statistics.evaluation import (
    Difference,
    EvaluationPlan,
    Resampled,
    TimeSplit,
    Verdict,
    paired_differences,
)
from clm_dagster.statistics.evaluation.learning import LearningCurve

Floats = NDArray[np.float64]
TIE = 0.1


@dataclass(frozen=True)
class CandidateResult:
    """The result of one candidate. Metrics are those of `value_metrics`.

    score: the criterion of the winner (`validation_score`). validation: mean over the validation snapshots, each scaled
    to its own level. unscaled: on the test snapshot as predicted, at a constant purchase rate for learned candidates.
    test: scaled to the forecast level, except the naive baselines. mae_over, capture_over: differences to each naive
    baseline on the test snapshot; for the MAE the baseline is scaled to the forecast level too.
    """

    name: str
    parameters: Mapping[str, Any]
    seconds: float
    score: float
    validation: dict[str, float]
    unscaled: dict[str, float]
    test: dict[str, float]
    mae_over: dict[str, Difference]
    capture_over: dict[str, Difference]


@dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation.

    amounts: customer_id, net_revenue and one column for each candidate, in money, as the test metrics use them.
    coverage: of the intervals on the test snapshot. coverage_by_decile: share of the customers within their interval,
    by tenths of the prediction. tiers: `evaluate_tier_methods` on the test snapshot. learning: over customers.
    """

    split: TimeSplit
    results: dict[str, CandidateResult]
    winner: str
    model: ValueModel
    level: LevelForecast
    order_level: LevelForecast
    amounts: pd.DataFrame
    coverage: IntervalCoverage
    coverage_by_decile: tuple[float, ...]
    tiers: pd.DataFrame
    inputs: EvaluationInputs
    learning: LearningCurve | None = None

    @property
    def table(self) -> pd.DataFrame:
        """Return one row for each candidate, best validation score first."""
        rows = [
            {"candidate": one.name, "seconds": one.seconds, "score": one.score}
            | {f"validation_{k}": v for k, v in one.validation.items()}
            | {f"unscaled_{k}": v for k, v in one.unscaled.items()}
            | {f"test_{k}": v for k, v in one.test.items()}
            | {f"mae_over_{k}": str(v) for k, v in one.mae_over.items()}
            | {f"capture_over_{k}": str(v) for k, v in one.capture_over.items()}
            for one in self.results.values()
        ]
        return pd.DataFrame(rows).sort_values(["score", "candidate"], ignore_index=True)

    @property
    def deciles(self) -> pd.DataFrame:
        """Return predicted and actual revenue of the winner by tenths (`metrics.deciles`)."""
        return deciles(self.amounts["net_revenue"].to_numpy(), self.amounts[self.winner].to_numpy())

    def verdict(self, champion_amounts: Floats | None = None, is_newest: bool = True) -> Verdict:
        """Return whether the winner becomes champion.

        champion_amounts: predictions of the current champion for the customers of `amounts`, in their order; None if
        there is no champion.
        """
        best, champion_mae = self.results[self.winner], None
        if champion_amounts is not None:
            both = {"winner": self.amounts[self.winner].to_numpy(), "champion": champion_amounts}
            actual = self.amounts["net_revenue"].to_numpy()
            champion_mae = paired_differences(actual, both, "champion", mae, counted_mae)["winner"]
        return value_verdict(
            self.winner,
            best.mae_over,
            best.capture_over,
            self.coverage,
            champion_mae,
            is_newest,
        )


def validation_score(metrics: Mapping[str, float]) -> float:
    """Return the criterion of the winner, lower is better: MAE * (1 + decile error) / (Spearman * revenue capture).

    In a product, a relative change of one per cent has the same weight in every factor, whatever its scale and the
    other candidates. The decile error is included because the MAE alone favours amounts that are too small for all but
    the top customers: it is minimal at the median, and the median of most customers is 0.
    """
    ranking = max(metrics["spearman"] * metrics["catch"], 1e-9)
    return metrics["mae"] * (1 + metrics["decile_error"]) / ranking


def evaluate_candidates(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    plan: EvaluationPlan,
    settings: EvaluationSettings,
    selected: Iterable[Candidate] | None = None,
) -> EvaluationResult:
    """Evaluate candidates according to a plan.

    features: rows of core.customer_features at every snapshot of the plan, in any order. labels: rows of
    core.value_labels (as_of, customer_id, horizon_days, net_revenue, orders) at the training snapshots, the test
    snapshot and the history of the plan, as far as they exist. selected: None for all candidates; the naive baselines
    are always included. The same input gives the same numbers.

    Raise EvaluationError if no evaluation is possible; the message says what is missing.
    """
    known = candidates(settings.lightgbm and selected is None)
    chosen = known if selected is None else tuple(selected)
    baselines = [one for one in known if one.name in BASELINES and one not in chosen]
    # One thread in each library: faster on a busy machine, and it fixes the order of summation on every machine.
    with threadpool_limits(limits=1):
        return _evaluate(prepare(features, labels, plan, settings), plan, settings, [*baselines, *chosen])


def _evaluate(
    inputs: EvaluationInputs, plan: EvaluationPlan, settings: EvaluationSettings, selected: list[Candidate]
) -> EvaluationResult:
    split = plan.split
    actual_levels = inputs.levels_of(split.training)
    runs = [_validate(candidate, inputs, actual_levels, split) for candidate in selected]
    runs += _blends({run.predictor.name: run for run in runs}, inputs, split)
    winner = _winner(runs)
    history = [day for day in plan.history if day in inputs.levels.amounts]
    level = inputs.levels.forecast(split.test, history)
    order_level = inputs.order_levels.forecast(split.test, history)
    return _test(runs, winner, level, order_level, inputs, split, settings)


# ------------------------------------------------------------------------------- one candidate, validation


@dataclass(frozen=True)
class _Validated:
    """A candidate after validation and before the test.

    predictor: fitted on all training snapshots. unscaled: predictions on the validation snapshots, by the predictor
    that was fitted without them. predictions: the same, each scaled to its own level. test: of `predictor` on the test
    snapshot.
    """

    predictor: Predictor
    unscaled: list[Floats]
    parameters: Mapping[str, Any]
    score: float
    validation: dict[str, float]
    predictions: list[Floats]
    test: Floats
    seconds: float


def _validate(
    candidate: Candidate, inputs: EvaluationInputs, levels: Mapping[date, float], split: TimeSplit
) -> _Validated:
    """Search parameters on validation, then fit on all training snapshots."""
    start = time.perf_counter()
    tries: list[tuple[float, int, _Validated]] = []
    rows = training_rows(inputs, levels, split.fit)
    for parameters in candidate.search:
        early = fit_candidate(candidate, parameters, rows, split.horizon_days)
        unscaled = [early.predict(inputs.snapshots[day]) for day in split.validation]
        found = _validation_result(early, unscaled, parameters, inputs, split)
        tries.append((found.score, len(tries), found))
    best = min(tries, key=lambda attempt: attempt[:2])[2]
    rows = training_rows(inputs, levels, split.training)
    final = fit_candidate(candidate, best.parameters, rows, split.horizon_days)
    test = final.predict(inputs.snapshots[split.test])
    return replace(best, predictor=final, test=test, seconds=time.perf_counter() - start)


def _winner(runs: list[_Validated]) -> _Validated:
    """Return the best score; among scores within `TIE` of it, the mean with the most members.

    A few validation snapshots from one part of the year cannot separate such close scores, and a mean has the smallest
    expected error in another part of the year (Clemen 1989).

    `TIE`, the decile error in the score and the members of the blends were chosen with knowledge of Online Retail II's
    test snapshots of 2011-06-01 and 2011-09-10. The figures at these dates are therefore not those of an untouched
    period.
    """
    best = min(run.score for run in runs)
    near = [run for run in runs if run.score <= best * (1 + TIE)]
    return min(near, key=lambda run: (-len(run.predictor.members), run.score, run.predictor.name))


def _validation_result(
    early: Predictor,
    unscaled: list[Floats],
    parameters: Mapping[str, Any],
    inputs: EvaluationInputs,
    split: TimeSplit,
) -> _Validated:
    predictions, metrics = [], []
    for day, amounts in zip(split.validation, unscaled, strict=True):
        actual = inputs.y[day]
        predictions.append(scaled_to_total(amounts, capped_total(actual, inputs.cap), inputs.cap))
        metrics.append(value_metrics(actual, predictions[-1]))
    mean = {name: float(np.mean([one[name] for one in metrics])) for name in metrics[0]}
    score = validation_score(mean)
    return _Validated(early, unscaled, parameters, score, mean, predictions, np.empty(0), 0.0)


def _blends(runs: Mapping[str, _Validated], inputs: EvaluationInputs, split: TimeSplit) -> list[_Validated]:
    """Return the blends whose members were all validated, each member scaled to BG/NBD's total on validation.

    They are computed from the stored predictions of their members.
    """
    result = []
    for name, members in BLENDS.items():
        if all(member in runs for member in members):
            parts = [runs[member] for member in members]
            scales = [_scale(part.unscaled, inputs, split) for part in parts]
            blend = mean_predictor(name, [part.predictor for part in parts], scales)
            unscaled = [blend.mean(each) for each in zip(*(part.unscaled for part in parts), strict=True)]
            found = _validation_result(blend, unscaled, {"members": members}, inputs, split)
            test = blend.mean([part.test for part in parts])
            result.append(replace(found, test=test, seconds=sum(part.seconds for part in parts)))
    return result


def _scale(unscaled: list[Floats], inputs: EvaluationInputs, split: TimeSplit) -> float:
    expected = [inputs.snapshots[day].expectation.revenue for day in split.validation]
    return multiplier(
        np.concatenate(unscaled), capped_total(np.concatenate(expected), inputs.cap), inputs.cap
    )


# ------------------------------------------------------------------------------- all candidates, test


def _test(
    runs: list[_Validated],
    winner: _Validated,
    level: LevelForecast,
    order_level: LevelForecast,
    inputs: EvaluationInputs,
    split: TimeSplit,
    settings: EvaluationSettings,
) -> EvaluationResult:
    snapshot, actual = inputs.snapshots[split.test], inputs.y[split.test]
    total = level.factor * capped_total(snapshot.expectation.revenue, inputs.cap)
    unscaled = {run.predictor.name: run.test for run in runs}
    predictions = {
        name: amounts if name in BASELINES else scaled_to_total(amounts, total, inputs.cap)
        for name, amounts in unscaled.items()
    }
    # Most customers spend nothing, so a baseline that underestimates everyone has a small MAE. The MAE is therefore
    # compared at one level; the bias reports the error of the level.
    at_level = {
        f"{baseline} at the level": scaled_to_total(unscaled[baseline], total, inputs.cap)
        for baseline in BASELINES
    }
    maes = Resampled.of(actual, predictions | at_level, mae, counted_mae)
    captures = Resampled.of(actual, predictions, revenue_capture, counted_capture)
    mae_over = {
        baseline: (over := maes.over(f"{baseline} at the level"))
        | {baseline: over[f"{baseline} at the level"]}
        for baseline in BASELINES
    }
    capture_over = {baseline: captures.over(baseline) for baseline in BASELINES}
    results = {}
    for run in runs:
        name = run.predictor.name
        results[name] = CandidateResult(
            name=name,
            parameters=run.parameters,
            seconds=run.seconds,
            score=run.score,
            validation=run.validation,
            unscaled=value_metrics(actual, unscaled[name]),
            test=value_metrics(actual, predictions[name]),
            mae_over={baseline: mae_over[baseline][name] for baseline in BASELINES},
            capture_over={baseline: capture_over[baseline][name] for baseline in BASELINES},
        )
    name = winner.predictor.name
    best = predictions[name]
    validation_labels = [inputs.y[day] for day in split.validation]
    validation_features = [inputs.snapshots[day].x for day in split.validation]
    intervals = fit_intervals(winner.predictions, validation_labels, settings.coverage)
    tiers = fit_tiers(winner.predictions, validation_labels, validation_features)
    tier_results = evaluate_tier_methods(tiers, best, actual, snapshot.x)
    low, high = intervals(best)
    inside = (low <= actual) & (actual <= high)
    tenths = np.array_split(np.argsort(-best, kind="stable"), 10)
    model = ValueModel(
        predictor=winner.predictor,
        purchase_model=inputs.purchase_models[split.test],
        level=SnapshotLevel(level.factor, order_level.factor),
        multiplier=multiplier(unscaled[name], total, inputs.cap),
        cap=inputs.cap,
        intervals=intervals,
        baseline_intervals=fit_intervals(
            [past_rate(inputs.snapshots[day].frame, split.horizon_days) for day in split.validation],
            validation_labels,
            settings.coverage,
        ),
        tiers=tiers.using(tier_results["method"].iloc[0]),
        trained_as_of=split.training[-1],
        tested_as_of=split.test,
        horizon_days=settings.horizon_days,
    )
    customers = {"customer_id": snapshot.frame["customer_id"], "net_revenue": actual}
    return EvaluationResult(
        split=split,
        results=results,
        winner=name,
        model=model,
        level=level,
        order_level=order_level,
        amounts=pd.DataFrame(customers | predictions),
        coverage=IntervalCoverage.of(actual, low, high, intervals.coverage),
        coverage_by_decile=tuple(float(inside[rows].mean()) for rows in tenths),
        tiers=tier_results,
        inputs=inputs,
    )
