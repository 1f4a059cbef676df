"""Random numbers that belong to single rows, such as a customer's next order, and not to a day of the whole shop.

Belongs here: the generator, and inverse distribution functions. Does not: what is drawn with them. A shop with planned
touches uses them, so that a customer does the same under two plans that treat this customer alike.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from clm_dagster.simulate.parameters import Parameters

# Steps and multipliers of SplitMix64 (Steele, Lea and Flood 2014).
_STEP = np.array([0x9E3779B97F4A7C15], np.uint64)  # an array: a scalar that overflows is a warning
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class OwnNumbers:
    """One stream for each row, with the methods of numpy's Generator that the simulation uses.

    keys: arrays of one integer a row, or single integers; rows with equal keys have equal streams, whatever other rows
    there are. A size is the number of rows, or (times, rows).
    """

    def __init__(self, parameters: Parameters, name: str, *keys: ArrayLike) -> None:
        seed = np.random.SeedSequence([parameters.seed, *name.encode()]).generate_state(1, np.uint64)
        state = seed
        for key in keys:
            state = _mixed(state + _STEP * (np.asarray(key).astype(np.uint64) + np.uint64(1)))
        self._state = state
        self._drawn = 0

    def random(self, size: int | tuple[int, int]) -> np.ndarray:
        """Return the next uniform numbers from 0 to 1, exclusive."""
        if isinstance(size, tuple):
            return np.stack([self.random(size[1]) for _ in range(size[0])])
        if size != len(self._state):
            raise ValueError(f"{size} numbers asked of {len(self._state)} streams")
        self._drawn += 1
        bits = _mixed(self._state + _STEP * np.uint64(self._drawn))
        found: np.ndarray = (bits >> np.uint64(11)).astype(float) * 2.0**-53
        return found

    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        """Return integers from `low` to `high`, exclusive."""
        found: np.ndarray = low + np.floor(self.random(size) * (high - low)).astype(np.int64)
        return found

    def exponential(self, scale: float, size: int) -> np.ndarray:
        """Return exponential numbers of this mean."""
        found: np.ndarray = -scale * np.log1p(-self.random(size))
        return found

    def standard_exponential(self, size: int) -> np.ndarray:
        """Return exponential numbers of mean 1."""
        return self.exponential(1.0, size)

    def gamma(self, shape: float, scale: np.ndarray) -> np.ndarray:
        """Return gamma numbers, one for each scale."""
        found: np.ndarray = special.gammaincinv(shape, self.random(len(scale))) * scale
        return found

    def poisson(self, mean: float | np.ndarray, size: int | None = None) -> np.ndarray:
        """Return Poisson numbers; the mean is one number or one a row."""
        portion = self.random(len(self._state) if size is None else size)
        # The inverse of the distribution function of real arguments, rounded up; one less where that still reaches it.
        count = np.maximum(np.ceil(special.pdtrik(portion, mean)), 0)
        less = np.maximum(count - 1, 0)
        found: np.ndarray = np.where(special.pdtr(less, mean) >= portion, less, count).astype(np.int64)
        return found


def _mixed(bits: np.ndarray) -> np.ndarray:
    mixed = (bits ^ (bits >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    found: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return found
