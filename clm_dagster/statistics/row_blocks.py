"""Predictions of rows that do not depend on the rows beside them.

Belongs here: the blocks. Does not: any model.

A product of matrices is computed by tiles of rows, and the last tile, which is not full, by other instructions. So the
last bit of a row's prediction depends on how many rows there are, and on its place among them. In blocks of one size
each row is computed alike.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# A multiple of every tile.
BLOCK = 4096


def by_blocks(predict: Callable[[Floats], Floats], x: Floats, block: int = BLOCK) -> Floats:
    """Return predict(x), shape (n, ...), computed for blocks of `block` rows. x: shape (n, k).

    The last block is filled up with copies of the last row.

    Examples:
        >>> by_blocks(lambda rows: rows.sum(axis=1), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), block=2)
        array([ 3.,  7., 11.])
    """
    if not len(x):
        return predict(x)
    parts = []
    for start in range(0, len(x), block):
        rows = x[start : start + block]
        count = len(rows)
        filled = (
            np.concatenate([rows, np.repeat(rows[-1:], block - count, axis=0)]) if count < block else rows
        )
        parts.append(predict(np.ascontiguousarray(filled))[:count])
    return np.concatenate(parts)
