"""Trees as masks: the probabilities are those of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from clm_dagster.domains.recommend.binning import bin_codes, bin_edges, bin_numbers
from clm_dagster.domains.recommend.tree_masks import CodedFeatures, TreeMasks


def _fitted(leaves: int) -> tuple[HistGradientBoostingClassifier, pd.DataFrame, dict[str, list[float]]]:
    rng = np.random.default_rng(5)
    x = pd.DataFrame(rng.normal(size=(40_000, 6)).astype(np.float32), columns=list("abcdef"))
    y = (x["a"] * x["b"] + x["c"] ** 2 + rng.normal(size=len(x)) > 1).to_numpy()
    x["d"] = np.where(rng.random(len(x)) < 0.3, np.nan, x["d"] + y).astype(np.float32)
    edges = bin_edges(x)
    model = HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=leaves, max_bins=64, random_state=0)
    return model.fit(bin_numbers(x, edges), y), x, edges


@pytest.mark.parametrize("leaves", [2, 7, 32])
def test_chances_are_those_of_scikit_learn_also_of_missing_values(leaves: int) -> None:
    model, x, edges = _fitted(leaves)
    expected = model.predict_proba(bin_numbers(x, edges))[:, 1]
    codes = bin_codes(x, edges)
    found = TreeMasks.of(model).chances([CodedFeatures(range(6), codes)])
    assert np.array_equal(found, expected)
    assert len(np.unique(expected)) > leaves


def test_rows_that_share_features_have_the_chances_of_their_values() -> None:
    model, x, edges = _fitted(32)
    rng = np.random.default_rng(6)
    row = rng.integers(0, 50, len(x))
    for name in "bd":
        x[name] = x[name].to_numpy()[row]
    expected = model.predict_proba(bin_numbers(x, edges))[:, 1]
    codes = bin_codes(x, edges)
    first = pd.Series(np.arange(len(x))).groupby(row).first().reindex(range(50), fill_value=0)
    parts = [
        CodedFeatures([0, 2, 4, 5], codes[[0, 2, 4, 5]]),
        CodedFeatures([3, 1], codes[[3, 1]][:, first], row),
    ]
    assert np.array_equal(TreeMasks.of(model).chances(parts), expected)


def test_a_tree_with_too_many_leaves_is_an_error() -> None:
    model, *_ = _fitted(40)
    with pytest.raises(ValueError, match="a tree has 40 leaves, the limit is 32"):
        TreeMasks.of(model)
