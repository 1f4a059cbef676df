"""The value contest of one test snapshot: frames and labels in, a judged model with intervals and tiers out.

Belongs here: the order of the contest, what is fitted on which snapshots, the model that comes out of it.
Does not: who takes part (`candidates`), the level (`level`), Dagster, MLflow.

    settings = EvaluationSettings(horizon_days=90)
    plan = evaluation_plan(date(2011, 9, 10), first_day=date(2009, 12, 1), settings=settings)
    ...                                     # read the features at plan.snapshots, and all mature labels
    result = evaluate_candidates(features, labels, plan, settings)
    result.table, result.verdict(), result.model.scores(snapshot, level)

The order, and what each step may see: candidates are fitted on the fit part, each snapshot's revenue divided by its
own level, and searched on the validation snapshots, each put to its own level; there intervals, tiers and the
winner are chosen. All are fitted again on the whole training part. The level at the test as_of is forecast from
what was known then. The labels of the test snapshot come in last, to judge.
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
    Training,
    candidates,
    fitted,
    mean_of,
)
from clm_dagster.domains.value.gates import BASELINES, judge_value
from clm_dagster.domains.value.intervals import fit_intervals
from clm_dagster.domains.value.level import LevelForecast, brought_to, capped_total, multiplier
from clm_dagster.domains.value.metrics import catch, deciles, mae, value_metrics
from clm_dagster.domains.value.model import SnapshotLevel, ValueModel
from clm_dagster.domains.value.plan import EvaluationSettings, Prepared, prepare
from clm_dagster.domains.value.tiers import fit_tiers, judge_tiers
from clm_dagster.statistics.evaluation import (
    Difference,
    EvaluationPlan,
    TimeSplit,
    Verdict,
    paired_differences,
)

Floats = NDArray[np.float64]
TIE = 0.1


@dataclass(frozen=True)
class CandidateResult:
    """One candidate's result. Metrics are `value_metrics`.

    validation: mean over the validation snapshots, each at its own level. before: on the test snapshot, as
    predicted; at BG/NBD's pace for what is learned. test: at the forecast level, but the dumb rules as they are.
    score: what the winner is chosen by (`validation_score`). mae_over and catch_over: differences to each naive
    baseline on the test snapshot, the baseline put at the forecast level too.
    """

    name: str
    parameters: Mapping[str, Any]
    seconds: float
    score: float
    validation: dict[str, float]
    before: dict[str, float]
    test: dict[str, float]
    mae_over: dict[str, Difference]
    catch_over: dict[str, Difference]


@dataclass(frozen=True)
class EvaluationResult:
    """All a contest found.

    amounts: customer_id, net_revenue and one column for each candidate, money, as judged. coverage: share of the
    test's customers whose revenue lay within the interval, by tenths of the prediction too. tiers: `judge_tiers` on the
    test snapshot.
    """

    split: TimeSplit
    results: dict[str, CandidateResult]
    winner: str
    model: ValueModel
    level: LevelForecast
    order_level: LevelForecast
    amounts: pd.DataFrame
    coverage: float
    coverage_by_decile: tuple[float, ...]
    tiers: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """One row for each candidate, best validation score first."""
        rows = [
            {"contestant": s.name, "seconds": s.seconds, "score": s.score}
            | {f"validation_{k}": v for k, v in s.validation.items()}
            | {f"before_{k}": v for k, v in s.before.items()}
            | {f"test_{k}": v for k, v in s.test.items()}
            | {f"mae_over_{k}": str(v) for k, v in s.mae_over.items()}
            | {f"catch_over_{k}": str(v) for k, v in s.catch_over.items()}
            for s in self.results.values()
        ]
        return pd.DataFrame(rows).sort_values(["score", "contestant"], ignore_index=True)

    @property
    def deciles(self) -> pd.DataFrame:
        """Predicted and actual revenue of the winner by tenths (`metrics.deciles`)."""
        return deciles(self.amounts["net_revenue"].to_numpy(), self.amounts[self.winner].to_numpy())

    def verdict(self, champion_amounts: Floats | None = None, is_newest: bool = True) -> Verdict:
        """Whether the winner becomes champion. The present champion's amounts are of the same customers."""
        best, worse = self.results[self.winner], None
        if champion_amounts is not None:
            both = {"winner": self.amounts[self.winner].to_numpy(), "champion": champion_amounts}
            actual = self.amounts["net_revenue"].to_numpy()
            worse = paired_differences(actual, both, "champion", mae)["winner"]
        return judge_value(self.winner, best.mae_over, best.catch_over, self.coverage,
                           self.model.intervals.coverage, worse, is_newest)  # fmt: skip


def validation_score(metrics: Mapping[str, float]) -> float:
    """What the winner is chosen by, the lower the better: MAE * (1 + decile error) / (Spearman * catch).

    A product, so that one per cent counts alike in each, whatever its scale and whoever else takes part. The decile
    error is there because MAE alone is won by amounts that are too small for all but the best: it asks for
    the median, and most customers' median is 0.
    """
    worth = max(metrics["spearman"] * metrics["catch"], 1e-9)
    return metrics["mae"] * (1 + metrics["decile_error"]) / worth


def evaluate_candidates(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    plan: EvaluationPlan,
    settings: EvaluationSettings,
    entries: Iterable[Candidate] | None = None,
) -> EvaluationResult:
    """Hold the contest of a plan.

    features: rows of core.customer_features at every snapshot of the plan, any order of rows. labels: rows
    of core.value_labels (as_of, customer_id, horizon_days, net_revenue, orders) at its training snapshots, its test,
    and as many of its history as there are. entries: None for all; the dumb rules take part always. Same input,
    same numbers.

    Raises EvaluationError for what makes a contest impossible; the message says what is missing.
    """
    everybody = candidates()
    asked = everybody if entries is None else tuple(entries)
    rules = [entry for entry in everybody if entry.name in BASELINES and entry not in asked]
    # One thread in each library: faster on a busy machine, and sums are added up in one order whatever it is.
    with threadpool_limits(limits=1):
        return _hold(prepare(features, labels, plan, settings), plan, settings, [*rules, *asked])


def _hold(
    given: Prepared, plan: EvaluationPlan, settings: EvaluationSettings, entries: list[Candidate]
) -> EvaluationResult:
    split = plan.split
    own = {
        day: capped_total(given.y[day], given.cap)
        / capped_total(given.snapshots[day].expectation.revenue, given.cap)
        for day in split.training
    }
    runs = [_run(entry, given, own, split) for entry in entries]
    runs += _blends({run.predictor.name: run for run in runs}, given, split)
    winner = _winner(runs)
    history = [day for day in plan.history if day in given.levels.amounts]
    level = given.levels.forecast(split.test, history)
    order_level = given.order_levels.forecast(split.test, history)
    return _judged(runs, winner, level, order_level, given, split, settings)


# ------------------------------------------------------------------------------------- one candidate


@dataclass(frozen=True)
class _Run:
    """A candidate between validation and test. early: fitted without the validation snapshots."""

    predictor: Predictor
    early: Predictor
    parameters: Mapping[str, Any]
    score: float
    validation: dict[str, float]
    said: list[Floats]  # on validation, each snapshot at its own level
    seconds: float


def _run(entry: Candidate, given: Prepared, own: Mapping[date, float], split: TimeSplit) -> _Run:
    """Search on validation, fit again on all of training."""
    start = time.perf_counter()
    tries: list[tuple[float, int, _Run]] = []
    for parameters in entry.search:
        early = fitted(entry, parameters, _rows(given, own, split.fit), split.horizon_days)
        found = _validated(early, parameters, given, split)
        tries.append((found.score, len(tries), found))
    best = min(tries, key=lambda tried: tried[:2])[2]
    final = fitted(entry, best.parameters, _rows(given, own, split.training), split.horizon_days)
    return replace(best, predictor=final, seconds=time.perf_counter() - start)


def _winner(runs: list[_Run]) -> _Run:
    """The best score; of those within `TIE` of it, the mean of the most members.

    A few validation snapshots of one part of the year cannot tell scores that near apart, and what errs least in
    another part of it is a mean (Clemen 1989).

    `TIE`, the decile error in the score and the members of the blends were settled while looking at Online Retail II's
    test snapshots of 2011-06-01 and 2011-09-10: the figures there are not those of an untouched period.
    """
    best = min(run.score for run in runs)
    near = [run for run in runs if run.score <= best * (1 + TIE)]
    return min(near, key=lambda run: (-len(run.predictor.members), run.score, run.predictor.name))


def _rows(given: Prepared, own: Mapping[date, float], days: tuple[date, ...]) -> Training:
    return Training.of(
        [given.snapshots[day] for day in days], [given.y[day] for day in days], [own[day] for day in days]
    )


def _validated(early: Predictor, parameters: Mapping[str, Any], given: Prepared, split: TimeSplit) -> _Run:
    said, each = [], []
    for day in split.validation:
        raw, actual = early.predict(given.snapshots[day]), given.y[day]
        said.append(brought_to(raw, capped_total(actual, given.cap), given.cap))
        each.append(value_metrics(actual, said[-1]))
    mean = {name: float(np.mean([metrics[name] for metrics in each])) for name in each[0]}
    return _Run(early, early, parameters, validation_score(mean), mean, said, 0.0)


def _blends(runs: Mapping[str, _Run], given: Prepared, split: TimeSplit) -> list[_Run]:
    """Means of those that ran, each brought to BG/NBD's level by what it said on validation."""
    result = []
    for name, members in BLENDS.items():
        if all(member in runs for member in members):
            parts = [runs[member] for member in members]
            scales = [_scale(part.early, given, split) for part in parts]
            early = mean_of(name, [part.early for part in parts], scales)
            found = _validated(early, {"members": members}, given, split)
            final = mean_of(name, [part.predictor for part in parts], scales)
            result.append(replace(found, predictor=final, seconds=sum(part.seconds for part in parts)))
    return result


def _scale(early: Predictor, given: Prepared, split: TimeSplit) -> float:
    snapshots = [given.snapshots[day] for day in split.validation]
    total = capped_total(np.concatenate([one.expectation.revenue for one in snapshots]), given.cap)
    return multiplier(np.concatenate([early.predict(one) for one in snapshots]), total, given.cap)


# ------------------------------------------------------------------------------------------ the test


def _judged(
    runs: list[_Run], winner: _Run, level: LevelForecast, order_level: LevelForecast, given: Prepared,
    split: TimeSplit, settings: EvaluationSettings,
) -> EvaluationResult:  # fmt: skip
    snapshot, actual = given.snapshots[split.test], given.y[split.test]
    total = level.factor * capped_total(snapshot.expectation.revenue, given.cap)
    raw = {run.predictor.name: run.predictor.predict(snapshot) for run in runs}
    said = {
        name: amounts if name in BASELINES else brought_to(amounts, total, given.cap)
        for name, amounts in raw.items()
    }
    # A rule that says too little for everybody has a small MAE, as most customers spend nothing: against each
    # other amounts are held at one level, and how far that is off is told by the bias.
    over_mae = {
        rule: paired_differences(actual, said | {rule: brought_to(raw[rule], total, given.cap)}, rule, mae)
        for rule in BASELINES
    }
    over_catch = {rule: paired_differences(actual, said, rule, catch) for rule in BASELINES}
    results = {
        run.predictor.name: CandidateResult(
            run.predictor.name, run.parameters, run.seconds, run.score, run.validation,
            value_metrics(actual, raw[run.predictor.name]), value_metrics(actual, said[run.predictor.name]),
            {rule: over_mae[rule][run.predictor.name] for rule in BASELINES},
            {rule: over_catch[rule][run.predictor.name] for rule in BASELINES},
        )
        for run in runs
    }  # fmt: skip
    name = winner.predictor.name
    validated = [given.y[day] for day in split.validation]
    intervals = fit_intervals(winner.said, validated, settings.coverage)
    tiers = fit_tiers(winner.said, validated, [given.snapshots[day].x for day in split.validation])
    compared = judge_tiers(tiers, said[name], actual, snapshot.x)
    low, high = intervals(said[name])
    inside = (low <= actual) & (actual <= high)
    places = np.array_split(np.argsort(-said[name], kind="stable"), 10)
    model = ValueModel(
        predictor=winner.predictor, pace=given.paces[split.test],
        level=SnapshotLevel(level.factor, order_level.factor),
        multiplier=multiplier(raw[name], total, given.cap), cap=given.cap, intervals=intervals,
        tiers=tiers.using(compared["method"].iloc[0]), trained_as_of=split.training[-1],
        tested_as_of=split.test, horizon_days=settings.horizon_days,
    )  # fmt: skip
    amounts = pd.DataFrame({"customer_id": snapshot.frame["customer_id"], "net_revenue": actual} | said)
    return EvaluationResult(
        split, results, name, model, level, order_level, amounts, float(inside.mean()),
        tuple(float(inside[rows].mean()) for rows in places), compared,
    )  # fmt: skip
