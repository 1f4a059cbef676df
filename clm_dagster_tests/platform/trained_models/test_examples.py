"""Made-up input rows: of the types of the real ones, with no customer's values."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.served import typical_weeks
from clm_dagster.platform.trained_models.examples import round_digits, typical_rows


def test_rows_are_rounded_quartiles_of_each_column() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "spend": generator.gamma(2, 345.678, 1_000),
            "orders": np.arange(1_000),
            "country": ["UK"] * 600 + [None] * 100 + ["DE"] * 300,
        }
    )
    found = typical_rows(frame)
    assert found.dtypes.equals(frame.dtypes) and list(found["country"]) == ["UK"] * 3
    assert list(found["orders"]) == [250, 500, 750]
    quartiles = frame["spend"].quantile([0.25, 0.5, 0.75]).to_numpy()
    assert found["spend"].to_numpy() == pytest.approx(quartiles, rel=0.05)
    assert not set(found["spend"]) & set(frame["spend"])
    for _, row in found.iterrows():
        assert not (frame == row).all(axis=1).any()


def test_few_customers_leave_no_trace() -> None:
    frame = pd.DataFrame(
        {
            "spend": [123.0, 456.0],
            "gap": [7.5, np.nan],
            "city": ["Oslo", "Bergen"],
            "street": ["Elm Street 1", None],
        }
    ).astype({"city": object, "street": object})
    found = typical_rows(frame)
    assert set(found["spend"]) == {1.0} and found["gap"].isna().all()
    assert set(found["city"]) == {"unknown"} and found["street"].isna().all()
    assert found.dtypes.equals(frame.dtypes)


def test_numbers_have_two_digits() -> None:
    values = pd.Series([1234.0, -0.00567, 0.0, 99.6, np.nan])
    assert list(round_digits(values)[:4]) == [1200.0, -0.0057, 0.0, 100.0] and np.isnan(
        round_digits(values)[4]
    )


def test_days_of_demand_are_rounded_medians_of_their_weekday() -> None:
    days = pd.date_range("2024-01-01", periods=28)
    values = np.arange(28) * 11.0 + 3
    keys = {"level": "product", "key": "p1", "measure": "units"}
    series = pd.DataFrame({**keys, "day": days, "value": values})
    found = typical_weeks(series)
    assert list(found.columns) == list(series.columns) and len(found) == 28
    monday = np.median(values[::7])
    assert set(found["value"][::7]) == {float(f"{monday:.1e}")}
