"""Who is who after a retraining, and what a persona is called. Pure: arrays in, names out."""

from collections.abc import Mapping, Sequence

import numpy as np

from clm_dagster.domains.personas.features import words

SAME = 0.25  # a persona is still itself if it shares this much (Jaccard) with the one it was
_DISTINCT = 0.3  # a habit is worth a word from this many of the shop's standard deviations
_LIKE_ALL = "like everyone"


def match(before: np.ndarray, now: np.ndarray, count_before: int, count_now: int) -> dict[int, int]:
    """Which cluster of now (key) is which of before (value), from both clusterings of the same customers.

    The assignment (Kuhn 1955, the Hungarian method) with the greatest sum of overlaps, an overlap being the customers
    in both over those in either (Jaccard); pairs that overlap by less than a quarter are no pairs.
    """
    from scipy.optimize import linear_sum_assignment

    both = np.zeros((count_now, count_before))
    np.add.at(both, (now, before), 1.0)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    overlap = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    rows, columns = linear_sum_assignment(-overlap)
    return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= SAME}


def name_personas(
    distinct: np.ndarray, habits: Sequence[str], kept: Mapping[int, str], used: Sequence[str]
) -> list[str]:
    """A name for each row of `distinct` (see `model.distinctness`), no two alike.

    `kept` are names that stay. A new name is the words of the two most distinctive habits, of more where
    those are taken already, also by a persona before (`used`), and a number where all words are.
    """
    names = dict(kept)
    taken = set(used) | set(kept.values())
    for row in range(len(distinct)):
        if row not in names:
            names[row] = _name(distinct[row], habits, taken)
            taken.add(names[row])
    return [names[row] for row in range(len(distinct))]


def _name(row: np.ndarray, habits: Sequence[str], taken: set[str]) -> str:
    order = np.argsort(-np.round(np.abs(row), 9), kind="stable")
    said = [words(habits[i])[int(row[i] < 0)] for i in order if abs(row[i]) >= _DISTINCT]
    base = ", ".join(said[:2]) or _LIKE_ALL
    for length in range(2, len(said) + 1):
        if ", ".join(said[:length]) not in taken:
            return ", ".join(said[:length])
    number, name = 2, base
    while name in taken:
        name, number = f"{base} ({number})", number + 1
    return name
