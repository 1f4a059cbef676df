"""Results of slow functions, kept in memory by a key, such as the content of their arguments.

Belongs here: keeping and finding results. Does not: any function; a result must depend on nothing but its key.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def digest(*columns: NDArray[np.float64]) -> str:
    """Return a hash of arrays of floats, shape and order included."""
    found = hashlib.sha256()
    for column in columns:
        found.update(str(column.shape).encode())
        found.update(np.ascontiguousarray(column, dtype=float).tobytes())
    return found.hexdigest()


class Memo(Generic[T]):
    """The newest `most` results by key. Nobody changes a result. An exception is not kept."""

    def __init__(self, most: int = 256) -> None:
        self._most, self._lock = most, Lock()
        self._results: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result of the key, computed if it is not there."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
        result = compute()
        with self._lock:
            self._results[key] = result
            while len(self._results) > self._most:
                self._results.popitem(last=False)
        return result
