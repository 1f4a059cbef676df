"""Recommenders that several candidates share in one evaluation: fitted once, and scored once for each block.

Belongs here: the wrapper that remembers fits and scores. Does not: recommenders (`candidates`), the evaluation
(`evaluate`).
"""

import time
from collections.abc import Sequence
from typing import Self

from clm_dagster.domains.recommend.candidates import Recommender
from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.similarity import Scores


class SharedRecommender:
    """A recommender that remembers its fit and its scores of the last block; they are read-only.

    seconds: time that the fit and the scores took so far. For use in one thread.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender, self.name, self.seconds = recommender, recommender.name, 0.0
        self._fitted_on: Interactions | None = None
        self._last: tuple[Ints, Scores] | None = None

    def fit(self, past: Interactions) -> Self:
        """Fit on `past`, unless that is done."""
        if self._fitted_on is not past:
            start = time.perf_counter()
            self.recommender.fit(past)
            self.seconds += time.perf_counter() - start
            self._fitted_on, self._last = past, None
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the scores as the recommender does. The same array of rows as in the last call costs nothing."""
        if self._last is None or self._last[0] is not rows:
            start = time.perf_counter()
            self._last = None  # free the last block before the next one
            scores = self.recommender.score(rows)
            scores.flags.writeable = False
            self._last = rows, scores
            self.seconds += time.perf_counter() - start
        return self._last[1]


def share(recommenders: Sequence[Recommender]) -> dict[str, SharedRecommender]:
    """Return the recommenders by name, each to be fitted and scored once."""
    return {recommender.name: SharedRecommender(recommender) for recommender in recommenders}
