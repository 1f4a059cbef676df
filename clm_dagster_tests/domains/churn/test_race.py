"""The race of the churn candidates, and the work that fits share, on the simulated shop."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn import race as races
from clm_dagster.domains.churn.candidates import BASELINES, candidates, fit_candidate, log_odds
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.fitting import Fits
from clm_dagster.domains.churn.names import METRICS
from clm_dagster.domains.churn.plan import prepare
from clm_dagster.domains.churn.report import race_metrics
from clm_dagster.statistics.evaluation import EvaluationPlan
from clm_dagster_tests.domains.churn.shop import SETTINGS

Simulated = tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]
FEW = ("recency", "frequency_recency", "bgnbd", "logistic", "tree", "naive_bayes", "svm")


def evaluate(simulated: Simulated, with_race: bool = True) -> EvaluationResult:
    few = [candidate for candidate in candidates() if candidate.name in FEW]
    return evaluate_candidates(*simulated, SETTINGS, few, with_race)


@pytest.fixture
def small_races(monkeypatch: pytest.MonkeyPatch) -> None:
    """Races on samples that the simulated shop is large enough for."""
    monkeypatch.setattr(races, "SAMPLE", 800)
    monkeypatch.setattr(races, "LEAST", 1)


def test_a_race_drops_sure_losers_and_changes_no_figure_of_the_others(
    simulated: Simulated, small_races: None
) -> None:
    raced, whole = evaluate(simulated), evaluate(simulated, with_race=False)
    lost = raced.race
    assert lost.dropped and not set(lost.dropped) & {*BASELINES, raced.winner, lost.best}
    assert set(lost.losses) == {*FEW, "blend_logistic_bgnbd"} == set(raced.results) | set(lost.dropped)
    assert whole.race.dropped == () and str(whole.race) == "no candidate was dropped in a race"
    assert all(lost.losses[name] > lost.losses[lost.best] for name in lost.dropped)
    assert raced.winner == whole.winner
    kept = list(raced.results)
    pd.testing.assert_frame_equal(raced.test_probabilities[kept], whole.test_probabilities[kept])
    for name in kept:
        assert raced.results[name].test == whole.results[name].test
    assert all(f"{name} ({lost.losses[name]:.4f})" in str(lost) for name in lost.dropped)
    assert evaluate(simulated).race == lost


def test_the_table_says_who_was_dropped_and_at_what(simulated: Simulated, small_races: None) -> None:
    raced = evaluate(simulated)
    rows = pd.DataFrame(race_metrics(raced)).pivot(index="candidate", columns="metric", values="value")
    assert set(rows) == {"race_log_loss", "is_dropped", "exact_reasons"} <= set(METRICS)
    assert rows.race_log_loss.to_dict() == pytest.approx(dict(raced.race.losses))
    assert set(rows.index[rows.is_dropped == 1]) == set(raced.race.dropped)


def test_a_small_shop_has_no_race(simulated: Simulated) -> None:
    features, labels, plan = simulated
    inputs = prepare(features, labels, plan, SETTINGS)
    fits = Fits(inputs.columns, inputs.x, inputs.y)
    rows = sum(len(inputs.y[day]) for day in plan.split.fit)
    assert (races.race(candidates()[:2], fits, plan.split) == races.Race()) == (rows < races.LEAST)


def test_members_of_a_blend_that_may_win_stay() -> None:
    above = np.random.default_rng(0).normal(0.01, 0.05, 1_000)
    assert races._loses(above, 3.0) and not races._loses(above, 30.0)
    assert not races._loses(-above, 1.0)


@pytest.mark.parametrize("name", ["logistic_undersampled", "logistic_selected", "naive_bayes", "boosting"])
def test_fits_that_share_their_preparation_are_the_same_as_alone(simulated: Simulated, name: str) -> None:
    features, labels, plan = simulated
    inputs = prepare(features, labels, plan, replace(SETTINGS))
    days = plan.split.fit
    fits = Fits(inputs.columns, inputs.x, inputs.y)
    chosen = {candidate.name: candidate for candidate in candidates()}
    fits.fit(chosen["logistic"], {}, days)  # another candidate has prepared the columns before
    shared = fits.fit(chosen[name], {}, days)
    alone = fit_candidate(
        chosen[name],
        inputs.columns,
        {},
        pd.concat([inputs.x[day] for day in days], ignore_index=True),
        np.concatenate([inputs.y[day] for day in days]),
        np.repeat(np.arange(len(days)), [len(inputs.y[day]) for day in days]),
    )
    day = plan.split.test
    np.testing.assert_array_equal(fits.log_odds(shared, day), log_odds(alone, inputs.x[day]))
