"""Learning curves: places of customers, the gain of the last doubling, and what it says."""

from itertools import pairwise

import duckdb
import numpy as np
import pytest
from scipy.stats import kstest

from clm_dagster.statistics.evaluation import fast_auc
from clm_dagster.statistics.evaluation.learning import fitted_sizes, learning_curve, places_of

IDS = [f"c{number}" for number in range(20_000)]


def test_places_are_those_of_the_database() -> None:
    some = [*IDS[:50], "Jörg", "a b", ""]
    found = duckdb.execute(
        "select md5_number_lower(id)::double / 18446744073709551616.0 from (select unnest(?) as id)", [some]
    ).fetchall()
    assert places_of(some).tolist() == [row[0] for row in found]


def test_places_are_uniform_and_know_nothing_of_the_customer() -> None:
    places = places_of(IDS)
    assert kstest(places, "uniform").pvalue > 0.01
    churned = np.arange(len(IDS)) % 10 < 3
    rates = [churned[places < share].mean() for share in (0.1, 0.3, 0.6)]
    assert rates == pytest.approx([0.3] * 3, abs=0.03)


def test_a_smaller_sample_is_a_part_of_a_larger_one() -> None:
    seen: list[set[str]] = []

    def predict(bound: float) -> np.ndarray:
        seen.append({one for one, place in zip(IDS, places_of(IDS), strict=True) if place < bound})
        return np.zeros(1)

    sizes = list(fitted_sizes(IDS, 1.0, predict))
    assert sizes == sorted(sizes) and sizes[-1] == len(IDS)
    assert all(small < large for small, large in pairwise(seen))


def test_a_share_with_few_customers_is_left_out() -> None:
    assert list(fitted_sizes(IDS[:500], 1.0, lambda bound: np.zeros(1))) == pytest.approx([250, 500], abs=30)


def _scores(noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = (np.arange(3_000) % 2).astype(float)
    return np.asarray(truth + noise * rng.normal(size=len(truth)))


LABELS = (np.arange(3_000) % 2).astype(float)


def test_a_flat_curve_is_enough() -> None:
    predictions = {1_000: _scores(3.0, 1), 2_000: _scores(1.0, 2), 4_000: _scores(1.0, 3)}
    curve = learning_curve(LABELS, predictions, fast_auc, "roc_auc", higher_is_better=True)
    assert list(curve.values) == [1_000, 2_000, 4_000]
    assert curve.values[2_000] == fast_auc(LABELS, predictions[2_000])
    assert curve.is_enough
    assert "more customers would hardly improve the model" in str(curve)


def test_a_rising_curve_is_not_enough() -> None:
    predictions = {2_000: _scores(1.5, 2), 4_000: _scores(1.0, 3)}
    curve = learning_curve(LABELS, predictions, fast_auc, "roc_auc", higher_is_better=True)
    assert not curve.is_enough and curve.gain.above_zero
    assert curve.gain.value == pytest.approx(curve.values[4_000] - curve.values[2_000])
    assert "more customers would improve the model" in str(curve)


def test_a_gain_that_does_not_matter_is_enough_however_sure_it_is() -> None:
    predictions = {2_000: _scores(1.5, 2), 4_000: _scores(1.0, 3)}
    sure = learning_curve(LABELS, predictions, fast_auc, "roc_auc", higher_is_better=True)
    curve = learning_curve(LABELS, predictions, fast_auc, "roc_auc", higher_is_better=True, relevant=0.5)
    assert curve.gain == sure.gain and sure.gain.above_zero
    assert curve.is_enough and not sure.is_enough
    assert "no more than 0.5000, the least that matters" in str(curve)


def test_a_falling_loss_is_a_gain() -> None:
    def loss(labels: np.ndarray, predictions: np.ndarray) -> float:
        return float(np.mean((labels - predictions) ** 2))

    predictions = {2_000: _scores(1.5, 2), 4_000: _scores(1.0, 3)}
    curve = learning_curve(LABELS, predictions, loss, "mse", higher_is_better=False)
    assert curve.gain.low > 0 and not curve.is_enough


def test_a_model_that_learns_nothing_from_rows_has_enough() -> None:
    same = _scores(1.0, 2)
    assert learning_curve(LABELS, {1: same, 2: same}, fast_auc, "roc_auc", higher_is_better=True).is_enough


def test_one_size_is_no_curve() -> None:
    with pytest.raises(ValueError, match="two sizes at least, got 1"):
        learning_curve(LABELS, {1_000: LABELS}, fast_auc, "roc_auc", higher_is_better=True)
