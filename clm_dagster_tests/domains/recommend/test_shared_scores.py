"""Shared recommenders: the scores of the recommender, computed once for each block."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pytest

from clm_dagster.domains.recommend.candidates import BuyAgain
from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.shared_scores import SharedRecommender, share
from clm_dagster.domains.recommend.similarity import Scores


@dataclass
class Counting:
    """A recommender that counts its calls."""

    inner: BuyAgain = field(default_factory=BuyAgain)
    name: str = "counting"
    fits: int = 0
    scored: int = 0

    def fit(self, past: Interactions) -> Self:
        self.inner.fit(past)
        self.fits += 1
        return self

    def score(self, rows: Ints) -> Scores:
        self.scored += 1
        return self.inner.score(rows)


def test_a_shared_recommender_fits_and_scores_once(past: Interactions) -> None:
    counting = Counting()
    shared = SharedRecommender(counting)
    rows, others = np.arange(5), np.arange(3, 9)
    for _ in range(2):
        assert np.array_equal(shared.fit(past).score(rows), BuyAgain().fit(past).score(rows))
    assert (counting.fits, counting.scored) == (1, 1) and shared.seconds > 0
    assert np.array_equal(shared.score(others), counting.inner.score(others))
    assert np.array_equal(shared.score(rows), counting.inner.score(rows))
    assert counting.scored == 3


def test_scores_follow_the_purchases_and_cannot_be_changed(past: Interactions) -> None:
    shared = share([BuyAgain()])["buy_again"]
    rows = np.arange(5)
    late = shared.fit(past).score(rows)
    with pytest.raises(ValueError, match="read-only"):
        late[0, 0] = 1
    early = past.of(np.arange(20))
    assert np.array_equal(shared.fit(early).score(rows), BuyAgain().fit(early).score(rows))
