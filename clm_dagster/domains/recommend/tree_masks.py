"""Fast prediction of boosted trees on codes of bins (QuickScorer, Lucchese et al. 2015).

Belongs here: scikit-learn's fitted trees as tables of masks. Does not: fitting them (`ranking`), bins (`binning`).

A tree has one bit for each leaf, from left to right. Each code of a feature clears the bits of the leaves that the
feature rules out; the lowest bit that is left is the leaf. So a row costs one table lookup for each feature of a tree
instead of a walk whose branches the processor cannot predict, which takes twice as long.
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
_ROWS = 32_768  # number of rows whose masks stay in the processor's cache
_MAX_LEAVES = 32
_ALL = np.uint32(2**32 - 1)


@dataclass(frozen=True)
class _Tree:
    """One tree: masks by feature (one for each code), and the value of each leaf."""

    masks: dict[int, Masks]
    values: NDArray[np.float64]


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

    def chances(self, codes: Codes) -> NDArray[np.float64]:
        """Return the probability of class 1 of n rows. codes: features x n, as `bin_codes` returns them."""
        raw = np.full(codes.shape[1], self.baseline)
        for start in range(0, codes.shape[1], _ROWS):
            some = codes[:, start : start + _ROWS].astype(np.intp)
            for tree in self.trees:
                raw[start : start + _ROWS] += _leaf_values(tree, some)
        found: NDArray[np.float64] = expit(raw)
        return found


def _leaf_values(tree: _Tree, codes: NDArray[np.intp]) -> NDArray[np.float64]:
    left = np.full(codes.shape[1], _ALL)
    masks = np.empty_like(left)
    for feature, table in tree.masks.items():
        # Clipping never happens; it spares a check of the codes.
        left &= np.take(table, codes[feature], out=masks, mode="clip")
    # The bits below the lowest one that is left are as many as its number.
    leaf = np.bitwise_count((left & (~left + np.uint32(1))) - np.uint32(1))
    return tree.values[leaf]


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
