"""Predictions in blocks: those of the model, whatever the other rows are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_dagster.statistics.row_blocks import by_blocks


@given(seed=st.integers(0, 1_000), rows=st.integers(1, 300), cut=st.integers(0, 300))
def test_a_row_does_not_depend_on_the_others(seed: int, rows: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    x, weights = rng.normal(size=(rows, 23)), rng.normal(size=(23, 5))
    whole = by_blocks(lambda part: part @ weights, x)
    assert np.allclose(whole, x @ weights, rtol=1e-12)
    parts = [by_blocks(lambda part: part @ weights, part) for part in (x[:cut], x[cut:]) if len(part)]
    assert (np.concatenate(parts) == whole).all()
    one = rng.integers(rows)
    assert (by_blocks(lambda part: part @ weights, x[one : one + 1])[0] == whole[one]).all()


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 16])
def test_blocks_have_one_size(rows: int) -> None:
    sizes: list[int] = []

    def total(part: np.ndarray) -> np.ndarray:
        sizes.append(len(part))
        return np.asarray(part.sum(axis=1))

    x = np.arange(rows * 2.0).reshape(rows, 2)
    assert by_blocks(total, x, block=8).tolist() == x.sum(axis=1).tolist()
    assert set(sizes) == ({8} if rows else {0})
