"""Weights of sparse profiles and their nearest neighbours by cosine, in blocks.

Belongs here: cosine of sparse rows, TF-IDF and BM25. Does not: what a row stands for (`candidates`).

scipy multiplies sparse matrices as fast as the package `implicit` and six times faster than a self-join in
DuckDB (10 million pairs: 10, 8.4 and 44 s on one core).
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clm_dagster.recommend.interactions import Ints

Weights = Literal["cosine", "tfidf", "bm25"]

Scores = NDArray[np.float32]

GROUP = 32
CELLS = 5_000_000  # of a dense block: 20 MB of float32


def weighted(profile: sparse.csr_array, how: Weights) -> sparse.csr_array:
    """Customers x products, weighted so that what nearly everybody does says little.

    cosine leaves the values as they are. tfidf: sqrt(value) times ln(N / (1 + n)) + 1, n the rows of N with the column.
    bm25 (Robertson, Zaragoza 2009): k1 = 1.2, b = .75 by the row's sum, and the same inverse frequency.
    """
    if how == "cosine":
        return profile
    frequency = np.bincount(profile.indices, minlength=profile.shape[1])
    inverse = np.log(profile.shape[0] / (1 + frequency)) + 1
    if how == "tfidf":
        return _with_data(profile, np.sqrt(profile.data) * inverse[profile.indices])
    if how == "bm25":
        sums = profile.sum(axis=1)
        length = np.repeat(0.25 + 0.75 * sums / max(sums.mean(), 1e-12), np.diff(profile.indptr))
        value = profile.data
        return _with_data(profile, value * 2.2 / (value + 1.2 * length) * inverse[profile.indices])
    raise ValueError(f"weights are cosine, tfidf or bm25, not {how!r}")


def normalized(rows: sparse.csr_array, order: int = 2) -> sparse.csr_array:
    """Rows divided by their length (order 2) or sum (order 1); rows of zeros stay."""
    size = np.sqrt((rows * rows).sum(axis=1)) if order == 2 else rows.sum(axis=1)
    return _with_data(rows, rows.data / np.repeat(np.where(size > 0, size, 1), np.diff(rows.indptr)))


def neighbours(
    rows: sparse.csr_array, count: int, against: sparse.csr_array | None = None, exclude: Ints | None = None
) -> sparse.csr_array:
    """The `count` rows of `against` nearest by cosine to each of `rows`, with their cosines above zero.

    against: the rows themselves by default. exclude: for each row the number in `against` that is itself, -1 for
    none. Among equal cosines the lower number comes first.
    """
    own = np.arange(rows.shape[0]) if exclude is None else exclude
    target = normalized(rows if against is None else against).T.tocsr()
    unit = normalized(rows)
    parts = []
    for block in blocks(rows.shape[0], target.shape[1]):
        # Cosines that differ by rounding alone are equal: float32 forgets the last digits.
        cosines = np.round((unit[block] @ target).toarray(), 7).astype(np.float32)
        named = np.flatnonzero(own[block] >= 0)
        cosines[named, own[block][named]] = 0
        row, column, value = top(cosines, count)
        parts.append(sparse.csr_array((value.astype(float), (row, column)), shape=cosines.shape))
    if not parts:
        return sparse.csr_array((0, target.shape[1]))
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def blocks(count: int, width: int) -> Iterator[Ints]:
    """The numbers 0 to count - 1 in runs whose dense block of `width` columns has at most CELLS cells."""
    size = max(1, CELLS // max(width, 1))
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count), dtype=np.int64)


def top(scores: Scores, k: int) -> tuple[Ints, Ints, Scores]:
    """The k best columns above zero of each of b rows: rows, columns, scores, sorted by row and rank.

    Equal scores go by the column's number, that is by its id.
    """
    k = min(k, scores.shape[1])
    limit = np.maximum(_at_least(scores, k), 0)
    row, column = np.nonzero((scores >= limit[:, None]) & (scores > 0))
    value = scores[row, column]
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    best = np.arange(len(row)) - np.searchsorted(row, row) < k
    return row[best], column[best], value[best]


def _at_least(scores: Scores, k: int) -> Scores:
    """A number that at least k scores of each row reach, near the k-th largest: (b,).

    The k-th largest of the maxima of groups of columns: an eighth of the time that looking at 20,000 columns takes.
    """
    count, width = scores.shape
    groups = width // GROUP
    if groups > k:
        whole = scores[:, : groups * GROUP].reshape(count, GROUP, groups).max(axis=1)
        scores = np.concatenate([whole, scores[:, groups * GROUP :]], axis=1)
    return np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]


def cells(matrix: sparse.csr_array, rows: Ints, columns: Ints) -> NDArray[np.float64]:
    """The n values at the given rows and columns, 0 where none is stored."""
    if not len(rows):
        return np.zeros(0)
    return np.asarray(matrix[rows, columns], dtype=float).ravel()


def best_stored(rows: sparse.csr_array) -> tuple[Ints, NDArray[np.float64]]:
    """Column and value of the largest stored value of each row; of equal ones the lowest column, (0, 0) for none."""
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    order = np.lexsort((rows.indices, -rows.data, row))
    first, start = np.unique(row, return_index=True)
    column, value = np.zeros(rows.shape[0], dtype=np.int64), np.zeros(rows.shape[0])
    column[first], value[first] = rows.indices[order][start], rows.data[order][start]
    return column, value


def _with_data(matrix: sparse.csr_array, data: NDArray[np.float64]) -> sparse.csr_array:
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
