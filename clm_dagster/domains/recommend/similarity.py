"""Weights of sparse profiles and their nearest neighbours by cosine, in blocks.

Belongs here: cosine of sparse rows, TF-IDF and BM25. Does not: the meaning of a row (`candidates`).

Products of profiles have too many cells for a sparse result to be worth it, so they are summed into dense blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.sparsefuncs import sparse_matmul_to_dense

from clm_dagster.domains.recommend.interactions import Ints

Weights = Literal["cosine", "tfidf", "bm25"]

Scores = NDArray[np.float32]

GROUP = 32
CELLS = 5_000_000  # cells of a dense block: 20 MB of float32
_LAST = np.int64(2**31 - 1)


@dataclass(frozen=True)
class Weighting:
    """Weights of profiles, fitted on all customers and applied to some; common columns get low weights.

    cosine: values are unchanged. tfidf: sqrt(value) * (ln(N / (1 + n)) + 1), where n of N rows have the column. bm25
    (Robertson, Zaragoza 2009): k1 = 1.2, b = 0.75 with the row sum as length, and the same inverse frequency.
    """

    how: Weights
    inverse: NDArray[np.float64]
    mean_sum: float

    @classmethod
    def fit(cls, profile: sparse.csr_array, how: Weights) -> "Weighting":
        """Return the weights of a profile of all N customers x products. Raise ValueError for unknown weights."""
        if how not in ("cosine", "tfidf", "bm25"):
            raise ValueError(f"weights must be cosine, tfidf or bm25, not {how!r}")
        frequency = np.bincount(profile.indices, minlength=profile.shape[1])
        inverse = np.log(profile.shape[0] / (1 + frequency)) + 1
        return cls(how, inverse, max(float(profile.sum() / max(profile.shape[0], 1)), 1e-12))

    def of(self, profile: sparse.csr_array) -> sparse.csr_array:
        """Return the weighted profile of some customers."""
        if self.how == "cosine":
            return profile
        value = profile.data
        if self.how == "tfidf":
            value = np.sqrt(value)
        else:
            length = 0.25 + 0.75 * profile.sum(axis=1) / self.mean_sum
            value = value * 2.2 / (value + 1.2 * np.repeat(length, np.diff(profile.indptr)))
        return with_data(profile, value * self.inverse[profile.indices])


def weighted(profile: sparse.csr_array, how: Weights) -> sparse.csr_array:
    """Return the profile of all customers, weighted by `Weighting`."""
    return Weighting.fit(profile, how).of(profile)


def normalized(rows: sparse.csr_array, order: int = 2) -> sparse.csr_array:
    """Return rows divided by their length (order 2) or sum (order 1); rows of zeros are unchanged."""
    size = np.sqrt((rows * rows).sum(axis=1)) if order == 2 else rows.sum(axis=1)
    return with_data(rows, rows.data / np.repeat(np.where(size > 0, size, 1), np.diff(rows.indptr)))


def neighbours(rows: sparse.csr_array, count: int) -> sparse.csr_array:
    """Return the `count` nearest other rows by cosine for each row, as `nearest` does."""
    return nearest(rows, unit_columns(rows), count, np.arange(rows.shape[0]))


def unit_columns(rows: sparse.csr_array) -> sparse.csr_array:
    """Return rows as columns of length 1: the input `among` of `nearest`."""
    return sparse.csr_array(normalized(rows).T.tocsr())


def nearest(rows: sparse.csr_array, among: sparse.csr_array, count: int, exclude: Ints) -> sparse.csr_array:
    """Return the cosines of the `count` nearest columns of `among` for each of `rows`.

    among: result of `unit_columns`. exclude: for each row, the column that is the row itself, -1 for none. Cosines of
    zero are left out; ties are ordered by column.
    """
    unit = normalized(rows)
    parts = []
    for block in blocks(rows.shape[0], among.shape[1]):
        products = sparse_matmul_to_dense(unit[block], among)
        # Round, so that cosines which differ only by rounding errors are equal in float32.
        cosines = np.round(products, 7, out=products).astype(np.float32)
        named = np.flatnonzero(exclude[block] >= 0)
        cosines[named, exclude[block][named]] = 0
        row, column, value = top(cosines, count)
        parts.append(sparse.csr_array((value.astype(float), (row, column)), shape=cosines.shape))
    if not parts:
        return sparse.csr_array((0, among.shape[1]))
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def dense(rows: sparse.csr_array) -> Scores:
    """Return a block of rows as a dense float32 array."""
    # Not astype on the matrix: casting a sparse product would sort it.
    return np.asarray(with_data(rows, rows.data.astype(np.float32)).toarray())


def product(left: sparse.csr_array, right: sparse.csr_array) -> Scores:
    """Return the product of two matrices, summed in float64, as a dense float32 array."""
    return np.asarray(sparse_matmul_to_dense(left, right), dtype=np.float32)


def blocks(count: int, width: int) -> Iterator[Ints]:
    """Yield the numbers 0 to count - 1 in blocks of at most CELLS cells with `width` columns."""
    size = max(1, CELLS // max(width, 1))
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count), dtype=np.int64)


def top(scores: Scores, k: int) -> tuple[Ints, Ints, Scores]:
    """Return the k best columns above zero of each of b rows: rows, columns, scores, sorted by row and rank.

    Ties are ordered by column, and so by id.
    """
    k = min(k, scores.shape[1])
    limit = np.maximum(_at_least(scores, k), np.nextafter(np.float32(0), np.float32(1)))
    # flatnonzero: numpy searches a flat array several times faster than a table.
    row, column = np.divmod(np.flatnonzero(scores >= limit[:, None]), scores.shape[1])
    return best_first(row, column, scores[row, column], k)


def best_first(row: Ints, column: Ints, value: Scores, k: int) -> tuple[Ints, Ints, Scores]:
    """Return the k best of n cells of each row, sorted by row, falling value and column. value: at least 0."""
    if not len(row):
        return row, column, value
    # One whole number for each cell sorts many times faster than three columns: the row, the falling value, the
    # column. The bits of floats from zero on are in the order of the floats; adding zero turns -0 to 0.
    falling = _LAST - (value + np.float32(0)).view(np.int32).astype(np.int64)
    bits = int(column.max()).bit_length()
    keys = (((row.astype(np.int64) << 31) | falling) << bits) | column
    keys.sort()
    row, column = keys >> (31 + bits), keys & ((1 << bits) - 1)
    kept = np.arange(len(row)) - np.searchsorted(row, row) < k
    row, column, keys = row[kept], column[kept], keys[kept]
    return row, column, (_LAST - ((keys >> bits) & _LAST)).astype(np.int32).view(np.float32)


def _at_least(scores: Scores, k: int) -> Scores:
    """Return a lower bound of the k-th largest score of each row: (b,).

    It is the k-th largest of the maxima of groups of columns. For 20,000 columns this takes an eighth of the time.
    The groups are at most GROUP columns, and smaller for a large k, so that there are at least twice as many as k.
    """
    count, width = scores.shape
    size = min(GROUP, width // (2 * k))
    if size > 1:
        groups = width // size
        whole = scores[:, : groups * size].reshape(count, size, groups).max(axis=1)
        scores = np.concatenate([whole, scores[:, groups * size :]], axis=1)
    return np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]


def cells(matrix: sparse.csr_array, rows: Ints, columns: Ints) -> NDArray[np.float64]:
    """Return the n values at the given rows and columns, 0 where none is stored."""
    if not len(rows):
        return np.zeros(0)
    return np.asarray(matrix[rows, columns], dtype=float).ravel()


def best_stored(rows: sparse.csr_array) -> tuple[Ints, NDArray[np.float64]]:
    """Return column and value of the largest stored value of each row: the lowest column of ties, (0, 0) for none."""
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    order = np.lexsort((rows.indices, -rows.data, row))
    first, start = np.unique(row, return_index=True)
    column, value = np.zeros(rows.shape[0], dtype=np.int64), np.zeros(rows.shape[0])
    column[first], value[first] = rows.indices[order][start], rows.data[order][start]
    return column, value


def with_data(matrix: sparse.csr_array, data: NDArray[np.floating[Any]]) -> sparse.csr_array:
    """Return a matrix with the same stored cells and other values."""
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
