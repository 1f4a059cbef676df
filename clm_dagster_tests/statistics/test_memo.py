"""Results that are kept by the content of their arguments."""

from functools import partial

import numpy as np
import pytest

from clm_dagster.statistics.memo import Memo, digest


def test_a_digest_is_of_content_shape_and_order() -> None:
    first, second = np.array([1.0, 2.0]), np.array([3.0])
    assert digest(first, second) == digest(first.copy(), second.astype(int).astype(float))
    others = {digest(second, first), digest(np.array([1.0, 2.0, 3.0])), digest(first, second + 1e-12)}
    assert len(others | {digest(first, second)}) == 4


def test_the_newest_results_are_kept_and_errors_are_not() -> None:
    memo = Memo[int](most=2)
    calls: list[int] = []

    def compute(value: int) -> int:
        calls.append(value)
        if value < 0:
            raise ValueError("negative")
        return value

    for value in (1, 2, 1, 3, 1, 2):
        assert memo.get(str(value), partial(compute, value)) == value
    assert calls == [1, 2, 3, 2]
    for _ in range(2):
        with pytest.raises(ValueError, match="negative"):
            memo.get("-1", lambda: compute(-1))
    assert calls[-2:] == [-1, -1]
