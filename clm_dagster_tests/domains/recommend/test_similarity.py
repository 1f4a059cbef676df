"""The best columns of each row, compared with sorting every row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clm_dagster.domains.recommend.similarity import GROUP, top


@given(
    width=st.integers(1, 6 * GROUP),
    k=st.integers(1, 12),
    seed=st.integers(0, 10_000),
    digits=st.integers(0, 3),
)
def test_top_matches_a_sort_with_ties_by_number(width: int, k: int, seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.maximum(np.round(rng.normal(size=(7, width)), digits), 0).astype(np.float32)
    scores[0], scores[1] = 0, 1
    row, column, value = top(scores, k)
    for i in range(len(scores)):
        order = sorted(range(width), key=lambda j: (-scores[i, j], j))
        best = [j for j in order[:k] if scores[i, j] > 0]
        assert column[row == i].tolist() == best
        assert value[row == i].tolist() == scores[i, best].tolist()
    assert (np.diff(row) >= 0).all()
