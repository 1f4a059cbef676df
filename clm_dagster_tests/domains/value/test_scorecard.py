"""The scorecard of customer value, against scikit-learn, SciPy and pandas."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster_tests.scorecards import AS_OF, LATER, TRAINED, graded, identities, share_of_top

CARD = "value_scorecard"
PROMISED = {
    "test_mae": 12.0,
    "test_bias": 0.1,
    "test_spearman": 0.4,
    "test_catch": 0.5,
    "interval_coverage": 0.8,
}


def shop(count: int = 37, spend: float = 1.0) -> dict[str, pd.DataFrame]:
    """Forecasts at two snapshots, and orders after the first: many ties, and customers who buy nothing."""
    rng = np.random.default_rng(3)
    ids = [f"c{number:02d}" for number in range(count)]
    expected = np.round(rng.gamma(1.0, 30, count), -1)  # tens, so that many are equal
    frames = [
        pd.DataFrame(
            {
                "as_of": as_of,
                "customer_id": ids,
                "horizon_days": 90,
                "expected_revenue": expected,
                "revenue_low": np.where(expected > 20, 5.0, 0.0),
                "revenue_high": expected * 2,
                "model_name": "models.value_model",
                "model_version": "3",
                "model_as_of": TRAINED,
            }
        )
        for as_of in (AS_OF, LATER)
    ]
    features = pd.DataFrame(
        {
            "as_of": AS_OF,
            "customer_id": ids,
            "order_days": 1,
            "tenure_days": rng.integers(5, 700, count),
            "net_revenue_365d": np.round(rng.normal(60, 60, count), 2),
        }
    )
    buyers = ids[: count // 2]
    daily = pd.DataFrame(
        {
            "customer_id": [*buyers, buyers[0], "late id", *buyers[:2]],
            "activity_date": [
                *[date(2024, 3, 4)] * len(buyers),
                date(2024, 6, 1),  # the last day of the horizon
                date(2024, 4, 1),
                date(2024, 6, 2),  # after the horizon
                date(2024, 3, 3),  # before as_of
            ],
            "orders": 1,
            "net_revenue": np.round(spend * rng.choice([-20.0, 10.0, 40.0, 40.0, 90.0], len(buyers) + 4), 2),
        }
    )
    model = pd.DataFrame(
        [{"as_of": TRAINED, "model_name": "models.value_model", "model_version": "3", **PROMISED}]
    )
    return {
        "marts.customer_value": pd.concat(frames, ignore_index=True),
        "customer_features": pd.concat([features, features.assign(as_of=LATER)], ignore_index=True),
        "customer_daily": daily,
        "models.value_model": model,
        # At the last snapshot in the horizon, a new id turns out to be the second customer.
        "customer_identities": identities((datetime(2024, 5, 27), "late id", "c01", date(2024, 4, 1))),
    }


def outcomes(given: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Each customer with their forecast, past rate and actual revenue, computed apart from the SQL."""
    value = given["marts.customer_value"].query("as_of == @AS_OF")
    features = given["customer_features"].query("as_of == @AS_OF")
    daily = given["customer_daily"]
    end = AS_OF.date() + timedelta(days=90)
    inside = daily[(daily["activity_date"] >= AS_OF.date()) & (daily["activity_date"] < end)]
    spent = inside.replace({"customer_id": {"late id": "c01"}}).groupby("customer_id")["net_revenue"].sum()
    found = value.merge(features, on=["as_of", "customer_id"])
    rate = found["net_revenue_365d"].clip(lower=0) / found["tenure_days"].clip(90, 365) * 90
    return found.assign(past_rate=rate, actual=found["customer_id"].map(spent).fillna(0.0))


def expected(actual: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    wanted = max(1, round(0.1 * len(actual)))
    return {
        "mae": mean_absolute_error(actual, predicted),
        "bias": predicted.sum() / actual.sum() - 1,
        "spearman": spearmanr(actual, predicted).statistic,
        "catch": share_of_top(actual, predicted, wanted) / actual.sum(),
    }


def test_value_and_baseline_are_those_of_other_libraries(connection: Connection, project: Project) -> None:
    given = shop()
    # The last snapshot within the horizon must exist for its ids to count.
    extra = given["customer_features"].head(1).assign(as_of=datetime(2024, 5, 27), order_days=0)
    given["customer_features"] = pd.concat([given["customer_features"], extra], ignore_index=True)
    card = graded(connection, project, CARD, given)
    rows = outcomes(given)
    actual = rows["actual"].to_numpy()
    assert (actual == 0).sum() > 10 and rows["expected_revenue"].nunique() < len(rows) / 2
    own = expected(actual, rows["expected_revenue"].to_numpy())
    inside = (rows["revenue_low"] <= actual) & (actual <= rows["revenue_high"])
    assert card["value"].to_dict() == pytest.approx(own | {"interval_coverage": inside.mean()})
    baseline = card["baseline"].drop("interval_coverage").to_dict()
    assert baseline == pytest.approx(expected(actual, rows["past_rate"].to_numpy()))
    assert np.isnan(card["baseline"]["interval_coverage"])
    promised = {name.removeprefix("test_"): value for name, value in PROMISED.items()}
    assert card["promised"].to_dict() == promised
    assert set(card["customers"]) == set(card["labelled"]) == {37}
    assert set(card["weeks_since_training"]) == {9} and set(card["model"]) == {"value"}
    assert str(card["matures_on"].iloc[0])[:10] == "2024-06-02"


def test_a_snapshot_without_mature_labels_has_no_value(connection: Connection, project: Project) -> None:
    card = graded(connection, project, CARD, shop(), LATER)
    assert len(card) == 5 and card[["value", "baseline"]].isna().all(axis=None)
    assert set(card["labelled"]) == {0} and card["promised"].notna().all()


def test_nobody_buys_anything(connection: Connection, project: Project) -> None:
    card = graded(connection, project, CARD, shop(spend=0.0))
    assert card["value"]["spearman"] == card["baseline"]["spearman"] == 0
    assert card["value"][["bias", "catch"]].isna().all()
    assert card["value"]["mae"] == pytest.approx(shop()["marts.customer_value"]["expected_revenue"].mean())


def test_the_baseline_has_no_promise_and_may_have_no_intervals(
    connection: Connection, project: Project
) -> None:
    given = shop()
    given["marts.customer_value"] = given["marts.customer_value"].assign(
        model_name="past_rate_baseline", revenue_low=np.nan, revenue_high=np.nan
    )
    card = graded(connection, project, CARD, given)
    assert card["promised"].isna().all() and np.isnan(card["value"]["interval_coverage"])


def test_a_shop_without_scores_has_no_rows(connection: Connection, project: Project) -> None:
    given = {name: frame for name, frame in shop().items() if "." not in name}
    assert graded(connection, project, CARD, given).empty
