"""The published figures on CDNOW (REFERENCE.md, "Value models on CDNOW")."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clm_dagster.statistics.btyd import (
    BGNBD,
    MBGNBD,
    DiscountRate,
    Fit,
    GammaGamma,
    Histories,
    ParetoNBD,
    Summary,
    Unit,
    days,
    discounted_value,
    weeks,
)

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


def test_paretonbd(cdnow: Summary, cdnow_holdout: np.ndarray) -> None:
    fit = ParetoNBD.fit(cdnow.histories)
    published = {"r": 0.553277, "alpha": 10.577684, "s": 0.606240, "beta": 11.668734}
    assert fit.estimates == pytest.approx(published, rel=2e-3)
    assert fit.log_likelihood == pytest.approx(-9594.9762, abs=1e-3)
    assert fit.model.log_likelihood(cdnow.histories).sum() == pytest.approx(fit.log_likelihood, abs=1e-6)
    expected = fit.model.expected_purchases(cdnow.histories, weeks(39))
    assert expected.sum() == pytest.approx(1665.5, abs=0.05)
    assert np.corrcoef(expected, cdnow_holdout)[0, 1] == pytest.approx(0.6302, abs=5e-5)


def test_gamma_gamma(cdnow: Summary) -> None:
    fit = GammaGamma.fit(cdnow.histories.repeats, cdnow.mean_spend)
    published = {"p": 6.24957, "q": 3.74422, "gamma": 15.44352}
    assert fit.estimates == pytest.approx(published, rel=1e-4)
    assert fit.log_likelihood == pytest.approx(-4055.9177, abs=1e-3)
    assert fit.customers == 946
    one, new = fit.model.expected_spend([2, 0], [22.35, 0])
    assert one == pytest.approx(24.66, abs=5e-3)
    assert new == pytest.approx(35.17, abs=5e-3)


def test_cumulative_repeats_at_week_78(
    cdnow_transactions: pd.DataFrame, cdnow: Summary, cdnow_bgnbd: Fit[BGNBD]
) -> None:
    days_bought = cdnow_transactions.drop_duplicates(["customer_id", "date"])
    assert len(days_bought) - len(cdnow.customer_id) == 4339
    since_first = cdnow.histories.observed.into(Unit.WEEK) + 39
    expected = cdnow_bgnbd.model.expected_purchases_of_new(weeks(since_first))
    assert expected.sum() == pytest.approx(4161, abs=0.5)


def test_dropping_one_time_buyers_or_weights_biases_the_forecast(
    cdnow: Summary, cdnow_bgnbd: Fit[BGNBD], cdnow_holdout: np.ndarray
) -> None:
    """REFERENCE.md, trap 3: -12% becomes +55 to +83%."""

    def error(model: BGNBD) -> float:
        forecast = model.expected_purchases(cdnow.histories, weeks(39)).sum()
        return float(forecast / cdnow_holdout.sum() - 1)

    assert error(cdnow_bgnbd.model) == pytest.approx(-0.121, abs=5e-4)
    grouped = cdnow.histories.grouped
    unweighted = Histories(grouped.repeats, grouped.last, grouped.observed)
    assert 0.5 < error(BGNBD.fit(unweighted).model) < 0.9


@pytest.fixture(scope="module")
def rounded(reference_data: Path) -> pd.DataFrame:
    """The summary file with times rounded to .01 weeks, which the quickstart reads."""
    return pd.read_parquet(reference_data / "cdnow" / "cdnow_customers_summary_with_transactions.parquet")


def test_rounded_summary_file(rounded: pd.DataFrame) -> None:
    histories = Histories(rounded["x"].to_numpy(), weeks(rounded["t_x"]), weeks(rounded["T"]))
    assert BGNBD.fit(histories).log_likelihood == pytest.approx(-9582.4256, abs=1e-3)
    spend = GammaGamma.fit(rounded["x"], rounded["zbar"])
    assert spend.log_likelihood == pytest.approx(-4055.9232, abs=1e-3)


def test_weeks_read_as_days_reproduce_the_published_wrong_figure(rounded: pd.DataFrame) -> None:
    """REFERENCE.md, trap 2: 36.278 is correct, 140.096 was published. Only a wrong unit gives it."""
    x, t_x, t = (rounded[column].to_numpy() for column in ("x", "t_x", "T"))
    model = BGNBD.fit(Histories(x, weeks(t_x), weeks(t))).model
    spend = GammaGamma.fit(x, rounded["zbar"]).model.expected_spend(x[:1], rounded["zbar"][:1])
    month = weeks(4.345)  # the quickstart's own
    year, discount = weeks(12 * 4.345), DiscountRate(0.01, per=month)
    first = Histories(x[:1], weeks(t_x[:1]), weeks(t[:1]))
    assert discounted_value(model, first, spend, year, discount) == pytest.approx([36.278], abs=1e-3)
    # The figure is the same for any units of the customer, the year and the model.
    in_days = Histories(x[:1], days(t_x[:1] * 7), days(t[:1] * 7))
    for converted in (model, model.to(Unit.DAY)):
        value = discounted_value(converted, in_days, spend, year.to(Unit.DAY), discount)
        assert value == pytest.approx([36.278], abs=1e-3)
    liar = replace(model, unit=Unit.DAY)
    lied = Histories(x[:1], days(t_x[:1]), days(t[:1]))
    value = discounted_value(liar, lied, spend, days(360), DiscountRate(0.01, per=days(30)))
    assert value == pytest.approx([140.096], abs=1e-3)
