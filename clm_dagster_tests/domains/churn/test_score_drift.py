"""Drift and its effect on scores: models whose effects are known, and faults in a simulated shop."""

from datetime import date

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from clm_dagster.domains.churn.asset_charts import drift_chart
from clm_dagster.domains.churn.candidates import candidates
from clm_dagster.domains.churn.checks import check_drift
from clm_dagster.domains.churn.evaluate import evaluate_candidates
from clm_dagster.domains.churn.features import by_snapshot
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.monitoring import feature_drift
from clm_dagster.domains.churn.score_drift import MAX_CUSTOMERS, sample, with_distribution_of
from clm_dagster.statistics.btyd import BGNBD, Unit
from clm_dagster.statistics.evaluation import Calibration, EvaluationPlan, Shape
from clm_dagster_tests.domains.churn.shop import SETTINGS

DAY = date(2024, 1, 1)
NO_SHAPE = Shape("none", 1.0, (), ())


class LinearInRecency:
    """A model of recency, in which a missing recency counts as 0, and of nothing else."""

    def decision_function(self, x: pd.DataFrame) -> NDArray[np.float64]:
        """Return log-odds of n rows."""
        return x["recency_days"].fillna(0).to_numpy(float) / 100


def customers(seed: int = 0, days: float = 0, tenure: float = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    recency = rng.gamma(2, 40, 1500)
    return pd.DataFrame(
        {
            "recency_days": recency + days,
            "tenure_days": recency + rng.gamma(2, 100, 1500) + tenure,
            "country": rng.choice(["DE", "FR"], 1500),
        }
    )


def linear_model(test: pd.DataFrame) -> ChurnModel:
    training = customers(1).assign(no_purchase_log_odds=0.3)[list(test.columns)]
    return ChurnModel(
        name="linear",
        estimator=LinearInRecency(),
        columns=tuple(test.columns),
        purchase_model=BGNBD(unit=Unit.WEEK, r=1.0, alpha=1.0, a=1.0, b=1.0),
        shape=NO_SHAPE,
        calibration=Calibration(NO_SHAPE, 0.0, 0.0),
        threshold=0.5,
        background=training,
        test_sample=test,
        trained_as_of=DAY,
        tested_as_of=DAY,
        horizon_days=90,
    )


def test_tenure_that_moves_without_effect_is_ok() -> None:
    table = feature_drift(linear_model(customers()), customers(tenure=500)).set_index("feature")
    assert table.population_stability["tenure_days"] > 1  # far above the customary limit of .25
    assert table.score_effect["tenure_days"] == 0 and set(table.status) == {"ok"}


def test_the_effect_is_the_mean_change_of_probability() -> None:
    test, later = customers(), customers(days=20)
    table = feature_drift(linear_model(test), later, warn=0.01, fail=0.5).set_index("feature")
    moved = np.abs(expit(later.recency_days / 100) - expit(test.recency_days / 100)).mean()
    assert table.score_effect["recency_days"] == pytest.approx(moved, rel=1e-6)
    assert table.index[0] == "recency_days"
    assert table.status.drop("missing_values").to_dict() == {
        "recency_days": "warn",
        "tenure_days": "ok",
        "country": "ok",
    }
    assert set(feature_drift(linear_model(test), later, warn=0.01, fail=0.02).status) == {"ok", "fail"}


def test_drift_that_the_test_survived_does_not_count_again() -> None:
    # Training at recency r, the test at r + 20, the scored snapshot at r + 40.
    table = feature_drift(linear_model(customers(days=20)), customers(days=40)).set_index("feature")
    assert table.score_effect["recency_days"] > 0.03
    assert table.score_effect_at_test["recency_days"] > 0.03 and table.status["recency_days"] == "ok"


def test_missing_values_count_by_their_effect() -> None:
    test = customers()
    rng = np.random.default_rng(5)
    gone = rng.random(len(test)) < 0.4
    # Tenure has no effect on the scores, recency has.
    harmless = feature_drift(linear_model(test), test.assign(tenure_days=np.nan)).set_index("feature")
    assert harmless.missing_change["tenure_days"] == 1 and set(harmless.status) == {"ok"}
    table = feature_drift(linear_model(test), test.assign(recency_days=test.recency_days.mask(gone)))
    row = table.set_index("feature").loc["missing_values"]
    lost = np.abs(expit(test.recency_days / 100) - expit(0)).mean()
    assert row.score_effect == pytest.approx(gone.mean() * lost, rel=0.1) and row.status == "fail"
    assert row.missing_change == pytest.approx(gone.mean() / 3) and row.topic == "all_features"


def test_the_level_counts_beyond_that_of_the_purchase_model() -> None:
    def with_level(frame: pd.DataFrame, log_odds: NDArray[np.float64] | float) -> pd.DataFrame:
        return frame.assign(no_purchase_log_odds=log_odds)

    test, later = customers(), customers(days=30)
    model = linear_model(with_level(test, 0.3))
    rise = expit(later.recency_days / 100).mean() - expit(test.recency_days / 100).mean()
    unexpected = feature_drift(model, with_level(later, 0.3)).set_index("feature").loc["score"]
    assert unexpected.score_effect == pytest.approx(rise, rel=1e-6) and unexpected.status == "fail"
    level = expit(0.3) + rise
    expected = feature_drift(model, with_level(later, np.log(level / (1 - level)))).set_index("feature")
    assert expected.score_effect["score"] == pytest.approx(0, abs=1e-9)
    assert "score" not in set(feature_drift(linear_model(test), later).feature)


def test_replaced_columns_have_the_distribution_of_the_target_and_keep_the_order() -> None:
    rng = np.random.default_rng(2)
    column = pd.Series(rng.normal(size=1000)).mask(rng.random(1000) < 0.3)
    for share in (0.0, 0.1, 0.6, 1.0):
        target = pd.Series(rng.gamma(2, 3, 700)).mask(rng.permutation(700) < share * 700)
        found = with_distribution_of(column, target)
        assert found.isna().mean() == pytest.approx(share, abs=0.01)
        if share < 1:
            tenths = np.linspace(0.1, 0.9, 9)
            assert found.quantile(tenths).to_numpy() == pytest.approx(
                target.quantile(tenths).to_numpy(), rel=0.05
            )
            both = column.notna() & found.notna()
            assert column[both].corr(found[both], method="spearman") == pytest.approx(1, abs=1e-3)
    texts = pd.Series(["a"] * 60 + ["b"] * 40)
    replaced = with_distribution_of(texts, pd.Series(["a"] * 5 + ["c"] * 5))
    assert replaced.value_counts().to_dict() == {"a": 50, "c": 50}
    assert (replaced == texts).sum() == 50
    pd.testing.assert_series_equal(with_distribution_of(texts, texts), texts, check_dtype=False)


def test_large_snapshots_are_sampled() -> None:
    rows = sample(pd.DataFrame({"recency_days": np.arange(3 * MAX_CUSTOMERS, dtype=float)}))
    assert len(rows) == MAX_CUSTOMERS and rows.recency_days.is_unique
    assert rows.recency_days.mean() == pytest.approx(1.5 * MAX_CUSTOMERS, abs=2)


def test_the_check_names_topics_in_points() -> None:
    table = feature_drift(linear_model(customers()), customers(days=10), warn=0.01, fail=0.5)
    (result,) = check_drift("2024-01-01", table, 0.01, 0.5)
    assert not result.passed and result.severity == dg.AssetCheckSeverity.WARN
    effect = 100 * table.score_effect[0]
    assert result.description is not None
    assert f"recency moves scores by {effect:.1f} points (test " in result.description
    assert "tenure" not in result.description and "warning from 1 points" in result.description
    (fine,) = check_drift("2024-01-01", feature_drift(linear_model(customers()), customers()), 0.01, 0.03)
    assert fine.passed
    chart = drift_chart(table.assign(as_of=pd.Timestamp(DAY)), 0.01, 0.5)
    assert chart is not None and "drift" in chart
    assert drift_chart(table.head(0), 0.01, 0.5) is None


@pytest.fixture(scope="module")
def shop(simulated: tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]) -> tuple[ChurnModel, pd.DataFrame]:
    """Return a trained model and the customers of the test snapshot."""
    features, labels, plan = simulated
    chosen = [one for one in candidates() if one.name in ("recency", "logistic")]
    model = evaluate_candidates(features, labels, plan, SETTINGS, chosen).model
    return model, by_snapshot(features, SETTINGS.active_days)[plan.split.test]


def statuses(model: ChurnModel, frame: pd.DataFrame) -> set[str]:
    return set(feature_drift(model, model.inputs(frame, model.purchase_model_of(frame))).status)


def test_a_fault_that_matters_is_seen(shop: tuple[ChurnModel, pd.DataFrame]) -> None:
    model, frame = shop
    assert statuses(model, frame) == {"ok"}
    # The shop is older: customers with a second order have known it for longer.
    older = frame.assign(tenure_days=frame.tenure_days + 28 * (frame.order_days > 1))
    assert statuses(model, older) == {"ok"}
    doubled = frame.assign(
        recency_days=2 * frame.recency_days, tenure_days=frame.tenure_days + frame.recency_days
    )
    assert statuses(model, doubled) & {"warn", "fail"}
