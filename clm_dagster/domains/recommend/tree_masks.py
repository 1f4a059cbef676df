"""Fast prediction of boosted trees on codes of bins (QuickScorer, Lucchese et al. 2015).

Belongs here: scikit-learn's fitted trees as tables of masks. Does not: fitting them (`ranking`), bins (`binning`).

A tree has one bit for each leaf, from left to right. Each code of a feature clears the bits of the leaves that the
feature rules out; the lowest bit that is left is the leaf. So a row costs one table lookup for each feature of a tree
instead of a walk whose branches the processor cannot predict, which takes twice as long. Features that many rows share,
such as those of a product, cost one lookup together: their masks are combined once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier

from clm_dagster.domains.recommend.binning import MISSING

Codes = NDArray[np.uint8]
Masks = NDArray[np.uint32]
_Lookup = tuple[int, NDArray[np.intp]]  # number of a feature, its code for each row
_ROWS = 32_768  # number of rows whose masks stay in the processor's cache
_MAX_LEAVES = 32
_ALL = np.uint32(2**32 - 1)


@dataclass(frozen=True)
class _Tree:
    """One tree: masks by feature (one for each code), and the value of each leaf."""

    masks: dict[int, Masks]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class CodedFeatures:
    """Codes of some features. n rows that are equal in all of them, such as those of one product, may share a column.

    features: their numbers in the model. codes: features x m, as `bin_codes` returns them. row: the column of each of
    n rows; None where each row has its own.
    """

    features: Sequence[int]
    codes: Codes
    row: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.codes.shape[1] if self.row is None else len(self.row)


@dataclass(frozen=True)
class TreeMasks:
    """The trees of one binary classifier. baseline: its raw prediction before the first tree."""

    baseline: float
    trees: Sequence[_Tree]

    @staticmethod
    @lru_cache(maxsize=8)
    def of(model: HistGradientBoostingClassifier) -> "TreeMasks":
        """Return the trees of a classifier that was fitted on `bin_numbers`, made once for each object.

        Raise ValueError above 32 leaves.
        """
        baseline = float(np.ravel(model._baseline_prediction)[0])
        return TreeMasks(baseline, [_tree(predictor.nodes) for (predictor,) in model._predictors])

    def chances(self, parts: Sequence[CodedFeatures]) -> NDArray[np.float64]:
        """Return the probability of class 1 of n rows. parts: all features of the trees, at least one part."""
        count = len(parts[0])
        raw = np.full(count, self.baseline)
        own = [part for part in parts if part.row is None]
        shared = [(part.row, self._shared_masks(part)) for part in parts if part.row is not None]
        for start in range(0, count, _ROWS):
            some = slice(start, min(start + _ROWS, count))
            lookups = [table for part in own for table in _lookups(part, some)]
            rows = [(row[some], masks) for row, masks in shared]
            left, masks = np.empty((2, some.stop - some.start), dtype=np.uint32)
            for number, tree in enumerate(self.trees):
                left.fill(_ALL)
                _rule_out(left, tree, lookups, masks)
                for row, of_trees in rows:
                    left &= _taken(of_trees[number], row, masks)
                raw[some] += tree.values[_lowest_bit(left)]
        found: NDArray[np.float64] = expit(raw)
        return found

    def _shared_masks(self, part: CodedFeatures) -> Masks:
        """Return the masks of a part's rows: trees x m."""
        count = part.codes.shape[1]
        found = np.full((len(self.trees), count), _ALL)
        lookups = _lookups(part, slice(0, count))
        masks = np.empty(count, dtype=np.uint32)
        for left, tree in zip(found, self.trees, strict=True):
            _rule_out(left, tree, lookups, masks)
        return found


def _lookups(part: CodedFeatures, some: slice) -> list[_Lookup]:
    """Return the features of a part with some of its codes, as indices."""
    return list(zip(part.features, part.codes[:, some].astype(np.intp), strict=True))


def _rule_out(left: Masks, tree: _Tree, lookups: Sequence[_Lookup], scratch: Masks) -> None:
    """Clear the bits of the leaves that some features of rows rule out, in place."""
    for feature, codes in lookups:
        if feature in tree.masks:
            left &= _taken(tree.masks[feature], codes, scratch)


def _taken(table: Masks, numbers: NDArray[np.intp], out: Masks) -> Masks:
    # Clipping never happens; it spares a check of the numbers.
    return np.take(table, numbers, out=out, mode="clip")


def _lowest_bit(left: Masks) -> NDArray[np.uint8]:
    """Return the number of the lowest bit that is left: the bits below it are as many."""
    found: NDArray[np.uint8] = np.bitwise_count((left & (~left + np.uint32(1))) - np.uint32(1))
    return found


def _tree(nodes: NDArray[Any]) -> _Tree:
    """Return the masks of scikit-learn's table of the nodes of a tree."""
    leaves = np.zeros(len(nodes), dtype=np.uint32)
    values: list[float] = []
    _number_leaves(nodes, 0, leaves, values)
    if len(values) > _MAX_LEAVES:
        raise ValueError(f"a tree has {len(values)} leaves, the limit is {_MAX_LEAVES}")
    codes = np.arange(MISSING + 1)
    masks: dict[int, Masks] = {}
    for node in nodes[nodes["is_leaf"] == 0]:
        goes_left = codes <= node["num_threshold"]
        goes_left[MISSING] = bool(node["missing_go_to_left"])
        mask = np.where(goes_left, _ALL, ~leaves[node["left"]])
        feature = int(node["feature_idx"])
        masks[feature] = masks[feature] & mask if feature in masks else mask
    return _Tree(masks, np.array(values))


def _number_leaves(nodes: NDArray[Any], at: int, leaves: Masks, values: list[float]) -> None:
    """Set the bits of the leaves below each node, and append the values of the leaves from left to right."""
    node = nodes[at]
    if node["is_leaf"]:
        leaves[at] = np.uint32(1 << len(values) if len(values) < _MAX_LEAVES else 0)
        values.append(float(node["value"]))
        return
    for side in ("left", "right"):
        _number_leaves(nodes, int(node[side]), leaves, values)
    leaves[at] = leaves[int(node["left"])] | leaves[int(node["right"])]
