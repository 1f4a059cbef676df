"""The contest on Online Retail II and CDNOW: the figures that were measured, with room for rounding."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from clm_dagster.domains.churn.candidates import Candidate, candidates
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.plan import EvaluationSettings
from clm_dagster_tests.domains.churn.conftest import Shop

pytestmark = pytest.mark.slow
# Issue "Churn": the best column of AUC on each date; the mean calibration error to reach is .04.
TO_BEAT = {date(2011, 9, 10): 0.775, date(2011, 6, 1): 0.807, date(2011, 3, 1): 0.781}


def entries() -> list[Candidate]:
    return [entry for entry in candidates() if entry.name in ("recency", "bgnbd", "logistic", "boosting")]


@pytest.fixture(scope="module")
def held(real_shop: Callable[[str], Shop]) -> dict[date, EvaluationResult]:
    shop, settings = real_shop("online_retail_ii"), EvaluationSettings()
    found = {}
    for test in TO_BEAT:
        features, labels, plan = shop.contest(test, date(2009, 12, 1), settings)
        found[test] = evaluate_candidates(features, labels, plan, settings, entries())
    return found


def test_the_winner_ranks_as_well_as_the_best_known(held: dict[date, EvaluationResult]) -> None:
    for test, auc in TO_BEAT.items():
        best = held[test].results[held[test].winner]
        assert best.test["roc_auc"] > auc - 0.001, test
        assert best.auc_over_recency.low > 0.04, test
        assert held[test].verdict(EvaluationSettings()).accepted, test


def test_the_season_is_met(held: dict[date, EvaluationResult]) -> None:
    """Calibration error: as the model says it, at BG/NBD's level, and at the season-aware level."""
    best = [result.results[result.winner] for result in held.values()]
    before, rhythm, after = (
        np.mean([metrics["calibration_error"] for metrics in kind])
        for kind in ([s.before for s in best], [s.test_purchase_level for s in best], [s.test for s in best])
    )
    assert {result.level.method for result in held.values()} == {"season"}
    assert after < 0.042 < rhythm < before


def test_cdnow_meets_its_published_figures(real_shop: Callable[[str], Shop]) -> None:
    """REFERENCE, "Churn", test as of 1998-03-31: logistic AUC .838, Brier .090, ECE .029, recency .828."""
    shop = real_shop("cdnow")
    settings = EvaluationSettings(active_days=10_000, spacing_days=91, snapshots=2, validations=1)
    features, labels, plan = shop.contest(date(1998, 3, 31), date(1996, 12, 1), settings)
    chosen = [entry for entry in candidates() if entry.name in ("recency", "bgnbd", "logistic")]
    result = evaluate_candidates(features, labels, plan, settings, chosen)
    logistic, recency = result.results["logistic"].test, result.results["recency"].test
    assert logistic["roc_auc"] == pytest.approx(0.839, abs=0.002)
    assert recency["roc_auc"] == pytest.approx(0.828, abs=0.001)
    assert logistic["brier"] < 0.0905 and logistic["calibration_error"] < 0.03
    # Never 1 - P(alive): that would rank worse than chance.
    assert result.results["bgnbd"].test["roc_auc"] == pytest.approx(0.830, abs=0.003)
