"""Identity and names of personas across retrainings.

Belongs here: pure functions, arrays in and names out. Does not belong here: clustering (`model`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from clm_dagster.domains.personas.features import words

SAME = 0.25  # smallest overlap (Jaccard) at which a cluster keeps the identity of an earlier persona
_DISTINCT = 0.3  # a habit becomes part of the name from this many standard deviations of the shop
_LIKE_ALL = "like everyone"


def match_clusters(before: np.ndarray, now: np.ndarray, count_before: int, count_now: int) -> dict[int, int]:
    """Map new clusters (key) to earlier ones (value), from two clusterings of the same customers.

    The assignment (Hungarian method, Kuhn 1955) maximizes the sum of overlaps. The overlap is the number of customers
    in both clusters divided by the number in either (Jaccard). Pairs with an overlap below SAME are dropped.
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
    """Return a unique name for each row of `distinct` (see `model.distinctness`).

    kept: names that stay, by row. used: names of earlier personas. A new name consists of the labels of the two most
    distinctive habits that have one; a category that is a code has none. If it is taken, use more habits, and finally a
    number.
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
    found = [(words(habits[i]), int(row[i] < 0)) for i in order if abs(row[i]) >= _DISTINCT]
    labels = [pair[low] for pair, low in found if pair is not None]
    base = ", ".join(labels[:2]) or _LIKE_ALL
    for length in range(2, len(labels) + 1):
        if ", ".join(labels[:length]) not in taken:
            return ", ".join(labels[:length])
    number, name = 2, base
    while name in taken:
        name, number = f"{base} ({number})", number + 1
    return name
