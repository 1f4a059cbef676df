"""Combine several rounds of the same measurement.

Belongs here: arithmetic on nested figures. Does not: what they mean.
"""

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any


def medians(
    rounds: list[dict[str, Any]], middle: Callable[[Iterable[float]], float] = median
) -> dict[str, Any]:
    """One figure for each number of the rounds, in their shape: its median, or another middle.

    Parts are medians too: they need not add up to their whole.
    """
    result: dict[str, Any] = {}
    for name, value in rounds[0].items():
        column = [found[name] for found in rounds if name in found]
        if isinstance(value, dict):
            result[name] = medians(column, middle)
        elif isinstance(value, int | float):
            result[name] = middle(column)
    return result
