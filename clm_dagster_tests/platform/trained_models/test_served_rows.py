"""Served predictions: a row that cannot be predicted is missing, and the others are predicted."""

import numpy as np
import pandas as pd

from clm_dagster.platform.trained_models.served_rows import predict_known

ROWS = pd.DataFrame({"orders": [2, 0, None, 3], "recency": [1.0, 5.0, 2.0, None], "other": [None] * 4})


def orders(x: pd.DataFrame) -> np.ndarray:
    assert (x["orders"] > 0).all()
    return x["orders"].to_numpy(float)


def test_only_rows_with_everything_needed_are_predicted() -> None:
    found = predict_known(ROWS, ["orders", "recency"], orders, "orders")
    assert list(found) == [2, None, None, None]
    assert list(predict_known(ROWS[1:2], ["recency"], orders, "orders")) == [None]
    assert predict_known(ROWS[:1], ["recency"], orders, "orders").dtype == float


def test_without_a_positive_column_zeros_count() -> None:
    found = predict_known(ROWS, ["orders"], lambda x: x["orders"].to_numpy(float))
    assert list(found) == [2, 0, None, 3]


def test_text_and_none_are_missing() -> None:
    rows = pd.DataFrame({"orders": [None, "many", 4]}, dtype=object)
    found = predict_known(rows, ["orders"], lambda x: x["orders"].to_numpy(float), "orders")
    assert list(found) == [None, None, 4]
