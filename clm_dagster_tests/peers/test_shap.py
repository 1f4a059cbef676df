"""Attributions against shap 0.51, to 1e-9, wherever it computes the same: boosters, trees, linear models.

Our TreeSHAP reads scikit-learn's private members. A release that moves them, or changes what they mean, fails here.
"""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

from clm_dagster.domains.churn.attribution import attribute, boosted_trees, single_tree, tree_parts
from clm_dagster.domains.churn.candidates import candidates, fit_candidate

Floats = NDArray[np.float64]
pytestmark = [
    pytest.mark.peers,
    # shap's plots set colours in a way that matplotlib will drop.
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]
ROWS = 800


@pytest.fixture
def shap() -> ModuleType:
    module: ModuleType = pytest.importorskip("shap", reason="the extra `peers` is not installed: make peers")
    return module


def simulated_rows(columns: int, missing: float, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Rows of which the first column has ties, an interaction of the first and the last, and missing values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, columns))
    x[:, 0] = np.round(x[:, 0])
    x[rng.random(x.shape) < missing] = np.nan
    score = np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, -1], nan=1.0) + rng.normal(size=ROWS)
    return x, (score > 0.2).astype(int)


@pytest.mark.parametrize(
    ("columns", "missing", "settings"),
    [
        (1, 0.2, {"max_leaf_nodes": 8}),
        (3, 0.0, {"max_leaf_nodes": 2}),
        (3, 0.9, {"max_leaf_nodes": 4}),
        (5, 0.15, {"max_leaf_nodes": 7, "l2_regularization": 5.0}),
        (8, 0.3, {"max_depth": 3, "learning_rate": 0.5}),
        (12, 0.15, {"max_leaf_nodes": 9, "max_bins": 8}),
        # Deep in two columns: each comes back on the same path.
        (2, 0.1, {"max_leaf_nodes": 15, "min_samples_leaf": 5}),
    ],
)
def test_a_booster_is_shap_to_the_ninth_digit(
    shap: ModuleType, columns: int, missing: float, settings: dict[str, float]
) -> None:
    x, y = simulated_rows(columns, missing, seed=columns)
    model = HistGradientBoostingClassifier(
        **{"max_iter": 15, "min_samples_leaf": 10, "random_state": 0, **settings}
    ).fit(x, y)
    base, parts = tree_parts(boosted_trees(model), x)
    theirs = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent", model_output="raw")
    np.testing.assert_allclose(parts, theirs.shap_values(x), rtol=0, atol=1e-9)
    assert base + model._baseline_prediction[0, 0] == pytest.approx(
        float(np.ravel(theirs.expected_value)[0]), abs=1e-9
    )
    assert np.abs(parts).max() > 0.1


def test_values_at_a_threshold_go_the_same_way(shap: ModuleType) -> None:
    """A row may hold the very value of a threshold, in double precision, or its neighbour."""
    x, y = simulated_rows(3, 0.1, seed=9)
    model = HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=6, random_state=0).fit(x, y)
    trees = boosted_trees(model)
    found = [
        (tree.column[node], tree.threshold[node]) for tree in trees for node in np.flatnonzero(tree.left >= 0)
    ]
    edge = np.zeros((3 * len(found), 3))
    for i, (column, threshold) in enumerate(found):
        edge[3 * i : 3 * i + 3, column] = [
            np.nextafter(threshold, -np.inf),
            threshold,
            np.nextafter(threshold, np.inf),
        ]
    theirs = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent", model_output="raw")
    np.testing.assert_allclose(tree_parts(trees, edge)[1], theirs.shap_values(edge), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("missing", "leaves"), [(0.0, 12), (0.0, 3), (0.2, 9)])
def test_a_tree_is_shap_to_the_ninth_digit(shap: ModuleType, missing: float, leaves: int) -> None:
    """shap explains a tree's probability, we its log-odds: here our tree gets the probabilities as its leaves."""
    x, y = simulated_rows(5, missing, seed=leaves)
    x = x.astype(np.float32).astype(float)  # scikit-learn's own precision for trees
    model = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=20, random_state=0)
    model.fit(x, y, sample_weight=np.linspace(1, 2, ROWS))
    probabilities = model.tree_.value[:, 0, 1] / model.tree_.value[:, 0].sum(axis=1)
    base, parts = tree_parts([replace(single_tree(model), value=probabilities)], x)
    theirs = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent", model_output="raw")
    np.testing.assert_allclose(parts, theirs.shap_values(x)[:, :, 1], rtol=0, atol=1e-9)
    assert base == pytest.approx(theirs.expected_value[1], abs=1e-9)


@pytest.mark.parametrize("name", ["boosting", "logistic"])
def test_a_candidate_is_shap_of_its_columns(shap: ModuleType, name: str) -> None:
    """The whole pipeline: shap of the transformed columns, summed over categories and missing-value flags."""
    numbers, y = simulated_rows(4, 0.2, seed=4)
    x = pd.DataFrame(numbers, columns=["recency_days", "order_days", "monetary", "tenure_days"])
    x["country"] = np.random.default_rng(5).choice(["A", "B", "C", "D"], ROWS, p=[0.5, 0.3, 0.19, 0.01])
    y = y | (x["country"] == "B").to_numpy(int)
    candidate = next(found for found in candidates() if found.name == name)
    model = fit_candidate(
        candidate, list(x.columns), candidate.search[0], x, y.astype(float), np.zeros(ROWS, dtype=int)
    )
    base, parts = attribute(model, x, x)
    z = np.asarray(model[:-1].transform(x), dtype=float)
    if name == "boosting":
        theirs = shap.TreeExplainer(model[-1], feature_perturbation="tree_path_dependent", model_output="raw")
    else:
        theirs = shap.LinearExplainer(model[-1], shap.maskers.Independent(z, max_samples=ROWS))
    values = pd.DataFrame(theirs.shap_values(z), columns=model[:-1].get_feature_names_out())
    for column in x.columns:
        own = [name for name in values if column in str(name)]
        np.testing.assert_allclose(parts[column], values[own].sum(axis=1), rtol=0, atol=1e-9, err_msg=column)
        assert len(own) > (column == "country"), own
        assert parts[column].abs().max() > 1e-3, column
    assert base == pytest.approx(float(np.ravel(theirs.expected_value)[0]), abs=1e-9)


def test_categorical_splits_are_refused(shap: ModuleType) -> None:
    """shap 0.51 reads such a split as a threshold, and its values no longer add up: nothing to compare with."""
    rng = np.random.default_rng(6)
    x = rng.integers(0, 8, (ROWS, 1)).astype(float)
    y = np.isin(x[:, 0], [1, 4, 6]).astype(int)
    model = HistGradientBoostingClassifier(categorical_features=[0], max_iter=3, random_state=0).fit(x, y)
    with pytest.raises(TypeError, match="splits on categories"):
        boosted_trees(model)
    theirs = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent", model_output="raw")
    total = theirs.shap_values(x, check_additivity=False).sum(axis=1) + np.ravel(theirs.expected_value)[0]
    assert np.abs(total - model.decision_function(x)).max() > 0.1
