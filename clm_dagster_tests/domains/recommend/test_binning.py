"""Bins: few values get a bin each, many are divided evenly, missing ones stay missing."""

import json

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.binning import BINS, bin_edges, bin_numbers


def test_few_values_have_a_bin_each_and_missing_ones_stay_missing() -> None:
    x = pd.DataFrame({"few": [3.0, 1.0, np.nan, 2.0, 1.0], "one": [7.0] * 5})
    edges = bin_edges(x)
    assert edges == {"few": [1.5, 2.5], "one": []}
    np.testing.assert_array_equal(bin_numbers(x, edges)[:, 0], [2, 0, np.nan, 1, 0])
    assert (bin_numbers(x, edges)[:, 1] == 0).all()


def test_bins_of_many_values_are_even_and_ordered() -> None:
    x = pd.DataFrame({"many": np.random.default_rng(0).lognormal(size=20_000).astype(np.float32)})
    edges = bin_edges(x)
    found = bin_numbers(x, json.loads(json.dumps(edges)))[:, 0]
    counts = np.bincount(found.astype(int))
    assert len(counts) == BINS and counts.max() < 1.2 * counts.min()
    order = np.argsort(x["many"].to_numpy(), kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert bin_numbers(pd.DataFrame({"many": [-1.0, 1e9]}), edges)[:, 0].tolist() == [0, BINS - 1]
