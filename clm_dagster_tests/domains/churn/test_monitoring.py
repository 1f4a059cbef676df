"""Fairness, against figures computed independently."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clm_dagster.domains.churn.monitoring import age_band, fairness


@pytest.fixture
def scored() -> pd.DataFrame:
    """Two runs of 400 customers; the probabilities are true."""
    rng = np.random.default_rng(0)
    p = rng.beta(2, 2, 800)
    return pd.DataFrame(
        {
            "as_of": np.repeat(pd.to_datetime(["2024-01-01", "2024-04-01"]), 400),
            "customer_id": [f"c{i}" for i in range(400)] * 2,
            "churn_probability": p,
            "model_version": np.repeat(["1", "2"], 400),
            "churned": (rng.random(800) < p).astype(float),
        }
    )


def test_groups_have_sizes_metrics_and_intervals(scored: pd.DataFrame) -> None:
    frame = scored.assign(
        country=np.array(
            ["LU" if row < 20 else "DE" if row % 3 == 0 else None for row in range(800)], dtype=object
        ),
        gender=None,
    )
    # One group's probabilities are all too low.
    frame["churn_probability"] -= np.where(frame.country == "DE", 0.2, 0) * frame.churn_probability
    table = fairness(frame, ["country", "gender", "age_band"]).set_index("group")
    assert set(table.attribute) == {"country"}  # the shop has no gender and no age
    assert table.customers.to_dict() == frame.country.fillna("unknown").value_counts().to_dict()
    german = frame[frame.country == "DE"]
    assert table.loc["DE", "roc_auc"] == pytest.approx(
        roc_auc_score(german.churned, german.churn_probability)
    )
    assert table.calibration_gap_high["DE"] < 0
    unknown = table.loc["unknown"]
    assert unknown.calibration_gap_low < 0 < unknown.calibration_gap_high
    assert np.isnan(table.roc_auc["LU"])  # 20 customers are too few


def test_age_bands() -> None:
    born = pd.Series([2000, 1999, 1960, 1955, 1850, np.nan])
    assert age_band(born, 2024).to_list()[:4] == ["under 25", "25-34", "55-64", "65 and over"]
    assert age_band(born, 2024).isna().to_list() == [False] * 4 + [True, True]
