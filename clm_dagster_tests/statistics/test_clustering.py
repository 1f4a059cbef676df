"""Clustering: the silhouette against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from clm_dagster.statistics.clustering import silhouettes_of


def test_silhouettes_of_several_labelings_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1_203, 5))
    points[:400] += 3
    labelings = [np.repeat([0, 4], [400, 803]), rng.integers(0, 5, 1_203), np.r_[np.zeros(1_202, int), 1]]
    expected = [silhouette_score(points, labels) for labels in labelings]
    assert silhouettes_of(points, labelings) == pytest.approx(expected, abs=1e-9)
    assert silhouettes_of(points, [np.zeros(1_203, int)]) == [-1.0]
