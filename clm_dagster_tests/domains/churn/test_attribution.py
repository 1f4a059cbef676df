"""Attributions against brute-force Shapley values, and that they add up."""

from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

from clm_dagster.domains.churn.attribution import Tree, attribute, boosted_trees, single_tree, tree_parts
from clm_dagster.domains.churn.candidates import LogOddsMean, candidates, fit_candidate, log_odds
from clm_dagster.domains.churn.feature_names import FEATURES
from clm_dagster.domains.churn.features import by_snapshot, derive
from clm_dagster.domains.churn.purchase_model import fit
from clm_dagster.statistics.evaluation import EvaluationPlan

Floats = NDArray[np.float64]
Simulated = tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]


def value_of(tree: Tree, row: Floats, known: frozenset[int], node: int = 0) -> float:
    """Return a tree's value if only some columns are known; other splits average by cover (Lundberg's algorithm 1)."""
    if tree.left[node] < 0:
        return float(tree.value[node])
    left, right, column = int(tree.left[node]), int(tree.right[node]), int(tree.column[node])
    if column in known:
        missing = np.isnan(row[column])
        goes_left = tree.missing_left[node] if missing else row[column] <= tree.threshold[node]
        return value_of(tree, row, known, left if goes_left else right)
    share = float(tree.cover[left] / tree.cover[node])
    return share * value_of(tree, row, known, left) + (1 - share) * value_of(tree, row, known, right)


def brute_force(trees: list[Tree], row: Floats) -> Floats:
    """Compute Shapley values by their definition, over all subsets of columns."""
    n = len(row)
    out = np.zeros(n)
    for column in range(n):
        others = [c for c in range(n) if c != column]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for chosen in combinations(others, size):
                s = frozenset(chosen)
                out[column] += weight * sum(
                    value_of(t, row, s | {column}) - value_of(t, row, s) for t in trees
                )
    return out


@pytest.fixture(scope="module")
def rows() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    x[rng.random(x.shape) < 0.15] = np.nan
    y = (
        np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, 1], nan=1) + np.isnan(x[:, 2]) + rng.normal(size=600)
        > 0.2
    )
    return x, y.astype(int)


def test_boosted_trees_get_their_shapley_values(rows: tuple[Floats, Floats]) -> None:
    x, y = rows
    model = HistGradientBoostingClassifier(max_iter=6, max_leaf_nodes=7, min_samples_leaf=15).fit(x, y)
    trees = boosted_trees(model)
    base, parts = tree_parts(trees, x)
    for i in range(25):
        np.testing.assert_allclose(parts[i], brute_force(trees, x[i]), atol=1e-12)
    assert base == pytest.approx(sum(value_of(tree, x[0], frozenset()) for tree in trees))
    total = base + parts.sum(axis=1) + model._baseline_prediction[0, 0]
    np.testing.assert_allclose(total, model.decision_function(x), atol=1e-9)


def test_a_single_tree_gets_its_shapley_values(rows: tuple[Floats, Floats]) -> None:
    x, y = rows
    model = DecisionTreeClassifier(max_leaf_nodes=9, random_state=0).fit(
        x, y, sample_weight=np.linspace(1, 2, 600)
    )
    tree = single_tree(model)
    _, parts = tree_parts([tree], x.astype(np.float32).astype(float))
    for i in range(25):
        np.testing.assert_allclose(parts[i], brute_force([tree], x[i].astype(np.float32)), atol=1e-12)


def test_a_tree_with_too_many_splits_is_rejected(rows: tuple[Floats, Floats]) -> None:
    x, y = rows
    model = HistGradientBoostingClassifier(max_iter=1, max_leaf_nodes=31, min_samples_leaf=5).fit(x, y)
    with pytest.raises(TypeError, match="splits, at most 14 are supported"):
        tree_parts(boosted_trees(model), x)


def test_parts_of_every_exact_candidate_add_up_to_its_log_odds(simulated: Simulated) -> None:
    features, labels, plan = simulated
    day = pd.Timestamp(plan.split.training[-1])
    frame = by_snapshot(features, 365)[plan.split.training[-1]]
    y = (
        labels[labels.as_of == day]
        .set_index("customer_id")
        .churned.reindex(frame.customer_id)
        .to_numpy(float)
    )
    x = derive(frame, fit(frame), 60)
    assert list(x.columns) == list(FEATURES)
    models = {
        candidate.name: fit_candidate(
            candidate, list(FEATURES), candidate.search[0], x, y, np.zeros(len(x), dtype=int)
        )
        for candidate in candidates()
        if candidate.exact
    }
    assert {"logistic", "naive_bayes", "tree", "boosting", "bgnbd"} <= set(models)
    models["mean"] = LogOddsMean([models["logistic"], models["boosting"], models["bgnbd"]])
    for name, model in models.items():
        base, parts = attribute(model, x, x.iloc[:100])
        assert list(parts.columns) == [c for c in FEATURES if c in parts], name
        np.testing.assert_allclose(
            base + parts.to_numpy().sum(axis=1), log_odds(model, x), atol=1e-9, err_msg=name
        )
        p = model.predict_proba(x)[:, 1]
        if name not in (
            "tree",
            "naive_bayes",
        ):  # their probabilities are clipped away from 0 and 1, or rounded there
            np.testing.assert_allclose(1 / (1 + np.exp(-log_odds(model, x))), p, atol=1e-9, err_msg=name)
    base, parts = attribute(models["logistic"], x, x)
    assert parts.mean().abs().max() < 1e-9  # linear parts are relative to the mean of the background


def test_a_model_without_an_exact_decomposition_is_rejected(simulated: Simulated) -> None:
    features, _, plan = simulated
    frame = by_snapshot(features, 365)[plan.split.test]
    x = derive(frame, fit(frame), 60)
    forest = next(candidate for candidate in candidates() if candidate.name == "forest")
    model = fit_candidate(
        forest,
        list(FEATURES),
        {},
        x,
        (frame.order_days > 1).to_numpy().astype(float),
        np.zeros(len(x), dtype=int),
    )
    with pytest.raises(TypeError, match="RandomForestClassifier has no exact decomposition"):
        attribute(model, x, x)
