"""The statistics of evaluations against scikit-learn, brute force, and simulated data with known parameters."""

from datetime import date, timedelta
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from clm_dagster.statistics.evaluation import (
    Difference,
    EvaluationError,
    Resampled,
    Shape,
    best_f1_threshold,
    calibrate_to_rate,
    calibration_error,
    champion_verdict,
    classification_metrics,
    fast_auc,
    fast_log_loss,
    fit_shape,
    latest_mature,
    lift_at,
    mean_intervals,
    metric_interval,
    missing_rate_change,
    paired_differences,
    population_stability,
    reliability,
    shifted_to_mean,
    suspected_leak,
    time_split,
)


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and the probabilities that they were drawn with, some of them tied."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(2, 2, n), 2).clip(0.01, 0.99)
    return (rng.random(n) < p).astype(float), p


# ------------------------------------------------------------------------------------------ splits


def test_a_split_keeps_one_horizon_between_training_and_test() -> None:
    test = date(2011, 9, 10)
    split = time_split(test, 90, date(2010, 1, 26))
    assert len(split.training) == 13 and len(split.validation) == 3
    assert max(split.training) == test - timedelta(days=112)  # the first step of 28 days that is 90 away
    assert {(test - day).days % 28 for day in split.training} == {0}
    assert max(split.fit) + timedelta(days=90) <= min(split.validation)
    assert set(split.fit) | set(split.validation) < set(split.training)
    assert split.before(13) == test - timedelta(days=364)


def test_a_short_history_gives_fewer_snapshots_and_then_none() -> None:
    first = date(2011, 1, 1)
    short = time_split(date(2011, 6, 1), 30, first, 28, 13, 3)
    assert min(short.training) >= first and 1 <= len(short.validation) < len(short.training) / 2
    assert max(short.fit) < min(short.validation)
    with pytest.raises(
        EvaluationError, match=r"1 mature training snapshots, 2 are needed.*of 2011-03-26 or later"
    ):
        time_split(date(2011, 3, 1), 30, first, 28)
    time_split(date(2011, 3, 26), 30, first, 28)
    with pytest.raises(EvaluationError, match="must be 1 or more"):
        time_split(date(2011, 3, 1), 30, first, 0)


def test_the_latest_mature_snapshot_ends_its_horizon_on_the_day() -> None:
    assert latest_mature(date(2011, 12, 9), 90) == date(2011, 9, 10)


# ----------------------------------------------------------------------------------------- metrics


def test_calibration_error_by_hand() -> None:
    # Two bins of four: predicted .25 and .75, observed 2/4 and 3/4.
    p = [0.25] * 4 + [0.75] * 4
    y = [1, 1, 0, 0, 1, 1, 1, 0]
    assert calibration_error(y, p, bins=2) == pytest.approx((0.25 + 0.0) / 2)
    assert reliability(y, p, bins=2).to_dict("list") == {
        "customers": [4, 4],
        "predicted": [0.25, 0.75],
        "observed": [0.5, 0.75],
    }


def test_metrics_do_not_depend_on_row_order_and_ties_share() -> None:
    y, p = drawn(999)
    order = np.random.default_rng(1).permutation(999)
    first, second = classification_metrics(y, p, 0.5), classification_metrics(y[order], p[order], 0.5)
    assert first == pytest.approx(second, abs=1e-12)
    assert lift_at([1, 0, 1, 0], [0.5] * 4, 0.25) == 1.0  # all tie: no lift
    assert lift_at([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.arange(10, 0, -1), 0.1) == 10.0


def test_the_fast_metrics_match_scikit_learn() -> None:
    y, p = drawn(2000)
    assert fast_auc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert fast_log_loss(y, p) == pytest.approx(log_loss(y, p), abs=1e-12)


def test_classification_metrics_match_scikit_learn_with_ties() -> None:
    y, p = drawn(2000)
    for q in (p, p.round(1)):
        found = classification_metrics(y, q, 0.5)
        assert found["average_precision"] == pytest.approx(average_precision_score(y, q), abs=1e-12)
        assert found["brier"] == pytest.approx(brier_score_loss(y, q), abs=1e-12)
        assert found["f1"] == pytest.approx(f1_score(y, q >= 0.5), abs=1e-12)
        assert found["precision"] == pytest.approx(precision_score(y, q >= 0.5), abs=1e-12)
        assert found["recall"] == pytest.approx(recall_score(y, q >= 0.5), abs=1e-12)


def test_metrics_of_counted_resamples_are_those_of_the_resamples() -> None:
    y, p = drawn(300)
    for q in (p, p.round(1)):
        for metric in (fast_auc, fast_log_loss):
            counted = Resampled.of(y, {"a": q}, metric, resamples=30)
            drawn_one_by_one = Resampled.of(y, {"a": q}, partial(metric), resamples=30)
            np.testing.assert_allclose(counted.drawn["a"], drawn_one_by_one.drawn["a"], atol=1e-12)
            assert counted.full == drawn_one_by_one.full


def test_no_threshold_has_a_greater_f1() -> None:
    y, p = drawn(300)
    best = best_f1_threshold(y, p)
    tried = {t: f1_score(y, p >= t) for t in np.unique(p)}
    assert tried[best] == max(tried.values())


# --------------------------------------------------------------------------------------- intervals


def test_intervals_have_their_nominal_coverage() -> None:
    """The true mean probability minus the base rate is 0. Of 200 intervals of 95%, about 10 do not contain it."""
    missed = 0
    for world in range(200):
        y, p = drawn(300, seed=world)
        found = metric_interval(
            y, p, lambda ones, predicted: float(predicted.mean() - ones.mean()), 200, seed=world
        )
        missed += not found.low <= 0 <= found.high
    assert 2 <= missed <= 22


def test_paired_intervals_are_narrow_and_reproducible() -> None:
    y, p = drawn(2000)
    worse = expit(logit(p) + np.random.default_rng(2).normal(0, 0.5, len(p)))
    found = paired_differences(y, {"good": p, "worse": worse}, "good", fast_auc)
    again = paired_differences(y, {"good": p, "worse": worse}, "good", fast_auc)
    assert found == again
    assert found["good"] == Difference(0.0, 0.0, 0.0)
    assert found["worse"].value == pytest.approx(roc_auc_score(y, worse) - roc_auc_score(y, p))
    assert found["worse"].below_zero and not found["worse"].above_zero
    alone = metric_interval(y, p, fast_auc)
    assert found["worse"].high - found["worse"].low < (alone.high - alone.low) / 1.5


def test_an_interval_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="both classes; all 3 labels are 1"):
        metric_interval([1, 1, 1], [0.1, 0.2, 0.3], fast_auc)


# ------------------------------------------------------------------------------------- calibration


def test_the_mean_is_reached_and_the_order_kept() -> None:
    z = logit(drawn(500)[1])
    for rate in (0.02, 0.5, 0.97):
        p = shifted_to_mean(z, rate)
        assert p.mean() == pytest.approx(rate, abs=1e-9)
        assert (np.argsort(p, kind="stable") == np.argsort(z, kind="stable")).all()
    with pytest.raises(ValueError, match="between 0 and 1, found 1"):
        shifted_to_mean(z, 1)


def distorted(
    slope: float, levels: tuple[float, ...], n: int = 4000
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Snapshots of true log-odds slope * z + level, of which a model says z."""
    rng = np.random.default_rng(7)
    z = [rng.normal(0, 1, n) for _ in levels]
    return z, [
        (rng.random(n) < expit(slope * s + level)).astype(float) for s, level in zip(z, levels, strict=True)
    ]


def test_the_slope_is_found_at_any_base_rates() -> None:
    z, y = distorted(1.6, (-1.0, 0.0, 1.5))
    found = fit_shape(z, y)
    assert found.shape.kind == "sigmoid"
    assert found.shape.slope == pytest.approx(1.6, abs=0.1)
    # The same by a regression on the score and a dummy for each snapshot.
    design = np.column_stack([np.concatenate(z), np.kron(np.eye(3), np.ones((4000, 1)))])
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8, max_iter=1000).fit(
        design, np.concatenate(y)
    )
    assert found.shape.slope == pytest.approx(model.coef_[0, 0], rel=1e-3)


def test_the_selected_shape_fits_the_distortion() -> None:
    z, y = distorted(1.0, (-0.5, 0.5, 0.0))
    assert fit_shape(z, y).losses["none"] <= min(fit_shape(z, y).losses.values()) + 1e-3
    rng = np.random.default_rng(3)
    bent = [rng.normal(0, 2, 6000) for _ in range(3)]
    ones = [(rng.random(6000) < np.where(s > 0, 0.9, 0.1)).astype(float) for s in bent]
    found = fit_shape(bent, ones)
    assert found.shape.kind == "isotonic"
    calibration = calibrate_to_rate(bent[0], found.shape, ones[0].mean())
    assert calibration_error(ones[0], calibration(bent[0])) < 0.03
    assert calibration_error(ones[0], expit(bent[0])) > 0.05
    assert roc_auc_score(ones[0], calibration(bent[0])) == pytest.approx(
        roc_auc_score(ones[0], bent[0]), abs=1e-9
    )


def test_one_snapshot_is_enough_and_is_cross_validated() -> None:
    z, y = distorted(2.0, (0.3,))
    found = fit_shape(z, y)
    assert found.shape.slope == pytest.approx(2.0, abs=0.15)
    assert len(found.probabilities) == 1 and calibration_error(y[0], found.probabilities[0]) < 0.03


def test_a_reversed_score_is_not_inverted() -> None:
    z, y = distorted(-1.0, (0.0, 0.0))
    assert fit_shape(z, y).shape != Shape("sigmoid", -1.0)
    assert fit_shape(z, y).shape.slope > 0


# ------------------------------------------------------------------------------------------- gates

CLEAR, UNCLEAR = Difference(0.06, 0.05, 0.07), Difference(0.01, -0.01, 0.03)


def test_the_champion_rule() -> None:
    won = champion_verdict("blend", "recency", CLEAR, 0.03, 0.08)
    assert won.accepted and str(won).startswith(
        "blend becomes champion. blend ranks better than recency alone"
    )
    for verdict, why in (
        (
            champion_verdict("blend", "recency", UNCLEAR, 0.03, 0.08),
            "does not clearly rank better than recency",
        ),
        (
            champion_verdict("blend", "recency", CLEAR, 0.09, 0.08),
            "probabilities are not calibrated: calibration error 0.090",
        ),
        (
            champion_verdict("blend", "recency", CLEAR, 0.03, 0.08, champion_loss=CLEAR),
            "worse than the current champion",
        ),
        (
            champion_verdict("blend", "recency", CLEAR, 0.03, 0.08, is_newest=False),
            "a backfill never changes the champion",
        ),
        (
            champion_verdict("blend", "recency", CLEAR, 0.03, 0.08, leaks=("Suspected leak: x.",)),
            "Suspected leak: x.",
        ),
    ):
        assert not verdict.accepted
        assert str(verdict).startswith("The champion does not change.") and why in str(verdict)
    assert champion_verdict("blend", "recency", CLEAR, 0.03, 0.08, champion_loss=UNCLEAR).accepted


def test_an_implausible_auc_is_a_suspected_leak() -> None:
    assert suspected_leak("blend", 0.97, 0.97) is None
    assert "0.983, above the limit 0.97" in str(suspected_leak("blend", 0.983, 0.97))


# ------------------------------------------------------------------------------------------- drift


def test_population_stability_by_hand_and_of_a_shift() -> None:
    # Two values, shares 1/2 and 1/2, then 3/4 and 1/4, each off zero by half a row of 1001 (1000 + 2 * .5).
    old, new = pd.Series(["a"] * 500 + ["b"] * 500), pd.Series(["a"] * 750 + ["b"] * 250)
    p, q = np.array([0.5, 0.5]), np.array([750.5, 250.5]) / 1001
    assert population_stability(old, new) == pytest.approx(((q - p) * np.log(q / p)).sum())
    rng = np.random.default_rng(0)
    base = pd.Series(rng.normal(size=20000))
    assert population_stability(base, pd.Series(rng.normal(size=20000))) < 0.01
    # For two normals at a distance of d the index is d squared; deciles capture nearly all of it.
    assert population_stability(base, pd.Series(rng.normal(0.5, 1, 20000))) == pytest.approx(0.25, abs=0.03)


def test_missing_values_drift_too() -> None:
    old, new = pd.Series([1.0, 2, 3, 4] * 25), pd.Series([1.0, 2, 3, np.nan] * 25)
    assert missing_rate_change(old, new) == 0.25
    assert population_stability(old, new) > 0.25
    assert population_stability(old, old) == 0


def test_intervals_of_means_are_those_of_the_metric_bootstrap() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((500, 2))
    values[:, 1] = values[:, 0] + 0.01
    labels = np.arange(500) % 2
    # An independent computation: the same resamples, one mean at a time.
    alone = metric_interval(labels, values[:, 0], lambda _, p: float(p.mean()))
    mean, _ = mean_intervals(values)
    assert (mean.value, mean.low, mean.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * values[:, 0].std() / np.sqrt(500), rel=0.2)
    (gain,) = mean_intervals(values[:, [1]] - values[:, [0]])
    assert gain.low == pytest.approx(0.01) and gain.high == pytest.approx(0.01)
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        mean_intervals(np.ones((1, 3)))
