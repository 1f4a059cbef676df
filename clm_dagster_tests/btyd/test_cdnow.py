"""The published figures on CDNOW (REFERENCE.md, "Value models on CDNOW")."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clm_dagster.btyd import BGNBD, MBGNBD, Fit, Histories, Summary, Unit, days, weeks

PAPER = BGNBD(unit=Unit.WEEK, r=0.243, alpha=4.414, a=0.793, b=2.426)
"""The parameters as printed by Fader, Hardie and Lee 2005."""


def test_bgnbd_parameters(cdnow_bgnbd: Fit[BGNBD]) -> None:
    published = {"r": 0.242595, "alpha": 4.413602, "a": 0.792922, "b": 2.425906}
    assert cdnow_bgnbd.estimates == pytest.approx(published, rel=1e-4)
    assert cdnow_bgnbd.log_likelihood == pytest.approx(-9582.4292, abs=1e-3)
    assert cdnow_bgnbd.customers == 2357
    assert cdnow_bgnbd.at_bound == ()


def test_mbgnbd_parameters(cdnow: Summary) -> None:
    fit = MBGNBD.fit(cdnow.histories)
    published = {"r": 0.524843, "alpha": 6.183085, "a": 0.891359, "b": 1.614002}
    assert fit.estimates == pytest.approx(published, rel=1e-4)
    assert fit.log_likelihood == pytest.approx(-9582.1357, abs=1e-3)


def test_bgnbd_log_likelihood_of_single_histories() -> None:
    model = BGNBD(unit=Unit.WEEK, r=0.25, alpha=4.0, a=0.8, b=2.5)
    histories = Histories(np.array([0.0, 200.0]), weeks([0, 38]), weeks([40, 40]))
    assert model.log_likelihood(histories) == pytest.approx([-0.5994738, 100.7956931], abs=1e-7)


def test_bgnbd_closed_forms(cdnow_bgnbd: Fit[BGNBD]) -> None:
    assert PAPER.probability_of_purchases(10, weeks(2)) == pytest.approx(1.0786896e-07, rel=1e-7)
    assert PAPER.probability_of_purchases(0, weeks(39)) == pytest.approx(0.5737864, abs=5e-8)
    # These were printed with the unrounded parameters.
    horizon = weeks([0.1429, 1, 3, 31.8571, 32, 78])
    expected = [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.858]
    assert cdnow_bgnbd.model.expected_purchases_of_new(horizon) == pytest.approx(expected, abs=5.1e-5)
    one = Histories(np.array([2.0]), weeks([30.43]), weeks([38.86]))
    assert PAPER.expected_purchases(one, weeks(39)) == pytest.approx([1.226], abs=5e-4)
    assert PAPER.expected_purchases(one, days(39 * 7)) == pytest.approx([1.226], abs=5e-4)


def test_bgnbd_holdout(cdnow: Summary, cdnow_bgnbd: Fit[BGNBD], cdnow_holdout: np.ndarray) -> None:
    assert cdnow_holdout.sum() == 1882
    expected = cdnow_bgnbd.model.expected_purchases(cdnow.histories, weeks(39))
    assert expected.sum() == pytest.approx(1653.4, abs=0.05)
    assert np.corrcoef(expected, cdnow_holdout)[0, 1] == pytest.approx(0.6256, abs=5e-5)


def test_no_purchase_ranks_and_one_minus_alive_does_not(
    cdnow: Summary, cdnow_bgnbd: Fit[BGNBD], cdnow_holdout: np.ndarray
) -> None:
    """REFERENCE.md, trap 1: AUC .757 against .316, Brier .161, ECE .054."""
    model, gone = cdnow_bgnbd.model, cdnow_holdout == 0
    probability = model.probability_of_no_purchase(cdnow.histories, weeks(39))
    assert roc_auc_score(gone, probability) == pytest.approx(0.757, abs=5e-4)
    assert np.mean((probability - gone) ** 2) == pytest.approx(0.161, abs=5e-4)
    tenths = pd.qcut(probability, 10, duplicates="drop").codes
    gaps = [abs(np.sum((probability - gone)[tenths == i])) for i in range(10)]
    assert sum(gaps) / len(gone) == pytest.approx(0.054, abs=5e-4)
    not_alive = 1 - model.probability_alive(cdnow.histories)
    assert roc_auc_score(gone, not_alive) == pytest.approx(0.316, abs=5e-4)
