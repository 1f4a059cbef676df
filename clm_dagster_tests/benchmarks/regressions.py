"""Compare two results of the benchmarks: what became slower, or needs more memory, by more than noise.

Belongs here: finding the figures in both results, noise. Does not: measuring, output.

A figure that was measured several times is a list; its noise is the spread of both lists. A figure that was measured
once has no spread; then a quarter counts as noise, because two measurements on a shared machine are that far apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

_SINGLE = 0.25
_LEAST = 0.05
# Costs by the last part of a figure's name; other figures, such as counts, are no costs.
_COSTS = ("seconds", "wall", "cpu", "cpu_seconds", "processor_seconds", "peak_mb", "segments", "own", "sql")
# Shorter times and smaller sizes differ by chance.
_SMALLEST = {"peak_mb": 50.0}
_SMALLEST_SECONDS = 0.5


@dataclass(frozen=True)
class Change:
    """A cost in two results. noise: the relative difference that two measurements of the same may have."""

    name: str
    before: float
    now: float
    noise: float

    @property
    def ratio(self) -> float:
        """The cost now, as a multiple of the cost before."""
        return self.now / self.before

    @property
    def is_slower(self) -> bool:
        """Whether it costs more than noise explains."""
        return self.ratio > 1 + self.noise

    @property
    def is_faster(self) -> bool:
        """Whether it costs less than noise explains."""
        return self.ratio < 1 / (1 + self.noise)


def compare(before: dict[str, Any], now: dict[str, Any]) -> list[Change]:
    """Return the costs that both results have and that differ by more than noise, the worst first."""
    old, new = dict(_figures(before)), dict(_figures(now))
    found = [_change(name, old[name], new[name]) for name in old if name in new]
    changed = [change for change in found if change is not None and (change.is_slower or change.is_faster)]
    return sorted(changed, key=lambda change: (-change.ratio, change.name))


def _figures(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, list[float]]]:
    """Yield the name and the measurements of each cost."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _figures(inner, (*path, str(key)))
        return
    numbers = [value] if isinstance(value, int | float) else value
    is_cost = bool(path) and (path[-1] in _COSTS or "stages" in path)
    if is_cost and isinstance(numbers, list) and numbers and all(isinstance(n, int | float) for n in numbers):
        yield "/".join(path), [float(number) for number in numbers]


def _change(name: str, before: list[float], now: list[float]) -> Change | None:
    old, new = median(before), median(now)
    smallest = _SMALLEST.get(name.rpartition("/")[2], _SMALLEST_SECONDS)
    if old <= 0 or max(old, new) < smallest:
        return None
    if len(before) > 1 and len(now) > 1:
        spread = (max(before) - min(before)) / old + (max(now) - min(now)) / new
        return Change(name, old, new, max(_LEAST, spread))
    return Change(name, old, new, _SINGLE)
