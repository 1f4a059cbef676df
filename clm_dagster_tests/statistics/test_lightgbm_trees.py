"""Trees of LightGBM: the same fit on every run, a file without code, Shapley values, and what to install."""

import sys
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from clm_dagster.statistics import lightgbm_trees
from clm_dagster.statistics.lightgbm_trees import (
    LightGBMClassifier,
    LightGBMRegressor,
    MissingExtraError,
    check_installed,
    holds_trees,
)

Floats = NDArray[np.float64]
SMALL: dict[str, Any] = {"num_iterations": 5, "min_data_in_leaf": 20, "feature_fraction": 0.7}


@pytest.fixture(scope="module")
def rows() -> tuple[Floats, Floats]:
    pytest.importorskip("lightgbm", reason="the extra `boosting` is not installed")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    x[rng.random(x.shape) < 0.15] = np.nan
    signal = np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, 1], nan=1) + np.isnan(x[:, 2])
    return x, (signal + rng.normal(size=600) > 0.2).astype(float)


def value_of(node: dict[str, Any], row: Floats, known: frozenset[int]) -> float:
    """Return a tree's value if only some columns are known; other splits average by cover."""
    if "leaf_value" in node:
        return float(node["leaf_value"])
    column, left, right = node["split_feature"], node["left_child"], node["right_child"]
    if column in known:
        missing = np.isnan(row[column]) and node["missing_type"] == "NaN"
        goes_left = node["default_left"] if missing else np.nan_to_num(row[column]) <= node["threshold"]
        return value_of(left if goes_left else right, row, known)
    covers = [child.get("internal_count", child.get("leaf_count")) for child in (left, right)]
    share = float(covers[0] / sum(covers))
    return share * value_of(left, row, known) + (1 - share) * value_of(right, row, known)


def test_contributions_are_shapley_values_and_add_up(rows: tuple[Floats, Floats]) -> None:
    x, y = rows
    model = LightGBMClassifier(**SMALL).fit(x, y, np.linspace(1, 2, len(y)))
    base, parts = model.contributions(x)
    np.testing.assert_allclose(base + parts.sum(axis=1), model.decision_function(x), atol=1e-9)
    trees = [
        tree["tree_structure"] for tree in lightgbm_trees._booster(model.text_).dump_model()["tree_info"]
    ]
    for i in range(10):
        for column in range(4):
            expected = 0.0
            others = [other for other in range(4) if other != column]
            for size in range(4):
                weight = factorial(size) * factorial(3 - size) / factorial(4)
                for chosen in combinations(others, size):
                    known = frozenset(chosen)
                    expected += weight * sum(
                        value_of(tree, x[i], known | {column}) - value_of(tree, x[i], known) for tree in trees
                    )
            assert parts[i, column] == pytest.approx(expected, abs=1e-9)
    assert model.contributions(x[:0])[1].shape == (0, 4)


def test_a_fit_is_the_same_on_every_run_and_silent(
    rows: tuple[Floats, Floats], capfd: pytest.CaptureFixture[str]
) -> None:
    x, y = rows
    model = LightGBMClassifier(**SMALL)
    assert model.fit(x, y).text_ == clone(model).fit(x, y).text_
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    assert ((model.predict_proba(x)[:, 1] > 0.5) == (model.predict(x) == 1)).all()
    regressor = LightGBMRegressor(**SMALL).fit(x, y)
    assert regressor.score(x, y) > 0.1
    assert capfd.readouterr() == ("", "")


def test_a_file_holds_text_and_no_code(rows: tuple[Floats, Floats]) -> None:
    x, y = rows
    model = LightGBMRegressor(**SMALL).fit(x, y)
    data = skops.io.dumps(model)
    trusted = ["clm_dagster.statistics.lightgbm_trees.LightGBMRegressor"]
    assert skops.io.get_untrusted_types(data=data) == trusted
    np.testing.assert_array_equal(skops.io.loads(data, trusted=trusted).predict(x), model.predict(x))


def test_trees_are_found_inside_of_other_estimators() -> None:
    trees = LightGBMClassifier()
    pipeline = Pipeline([("same", FunctionTransformer()), ("model", trees)])
    assert holds_trees(trees) and holds_trees({"0": [pipeline]})
    assert not holds_trees(pipeline[:-1]) and not holds_trees("lightgbm")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(
        MissingExtraError, match=r"CLM_CHURN_LIGHTGBM is on.*pip install 'clm_dagster\[boosting\]'"
    ):
        check_installed("CLM_CHURN_LIGHTGBM")
    with pytest.raises(MissingExtraError, match=r"pip install 'clm_dagster\[boosting\]'"):
        LightGBMClassifier().fit(np.zeros((2, 1)), np.array([0, 1]))
