"""Exact local attributions of a model's log-odds to its input columns.

Belongs here: one exact decomposition for each kind of model that has one. Does not belong here: sentences (`reasons`).

Every function returns (base, parts). The base plus the sum of a row's parts is the row's uncalibrated log-odds. Linear
models and naive Bayes are sums of terms. A part is the difference between a term and its training mean, which is the
Shapley value for independent columns (Strumbelj, Kononenko 2014). Trees use path-dependent TreeSHAP (Lundberg et al.
2020) with a lookup table: a tree with k splits depends on a row only through k yes-or-no answers, so the Shapley values
of its 2^k answer patterns are computed once. LightGBM computes the same values itself.
"""

from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from clm_dagster.domains.churn.candidates import LogOddsMean
from clm_dagster.statistics.evaluation import safe_logit
from clm_dagster.statistics.lightgbm_trees import LightGBMClassifier

Floats = NDArray[np.float64]
MAX_SPLITS = 14  # 2^14 table rows for a tree; a larger table costs more than it saves


@dataclass(frozen=True)
class Tree:
    """A binary tree as arrays over nodes: split column, threshold, direction of missing values, children, value, cover.

    left is -1 at a leaf. A row goes left if its value is <= threshold, or if it is missing and `missing_left` is set.
    """

    column: NDArray[np.int64]
    threshold: Floats
    missing_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats
    cover: Floats


def attribute(model: Any, x: pd.DataFrame, background: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """Return base and parts (n rows, one column for each input column) of a fitted pipeline or a mean of pipelines.

    background: training rows; linear parts are differences from their means. Raise TypeError for a model without an
    exact decomposition.
    """
    if isinstance(model, LogOddsMean):
        found = [attribute(member, x, background) for member in model.members]
        mean = sum((part for _, part in found[1:]), found[0][1]) / len(found)
        return float(np.mean([base for base, _ in found])), mean
    assert isinstance(model, Pipeline)
    z, last = model[:-1].transform(x), model[-1]
    if isinstance(last, HistGradientBoostingClassifier):
        base, parts = tree_parts(boosted_trees(last), z)
        base += float(np.ravel(last._baseline_prediction)[0])
    elif isinstance(last, DecisionTreeClassifier):
        base, parts = tree_parts([single_tree(last)], z)
    elif isinstance(last, LightGBMClassifier):
        base, parts = last.contributions(z)
    elif isinstance(last, LogisticRegression):
        means = model[:-1].transform(background).mean(axis=0)
        base = float(last.intercept_[0] + means @ last.coef_[0])
        parts = (z - means) * last.coef_[0]
    elif isinstance(last, GaussianNB):
        means = _naive_bayes_terms(last, model[:-1].transform(background)).mean(axis=0)
        prior = np.log(last.class_prior_)
        base = float(prior[1] - prior[0] + means.sum())
        parts = _naive_bayes_terms(last, z) - means
    else:
        raise TypeError(f"{type(last).__name__} has no exact decomposition of its log-odds")
    return base, _by_input(parts, model[:-1], list(x.columns), x.index)


def boosted_trees(model: HistGradientBoostingClassifier) -> list[Tree]:
    """Return the trees of a fitted binary booster. Raise TypeError if it splits on categories."""
    trees = []
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        if nodes["is_categorical"].any():
            raise TypeError("a booster that splits on categories is not supported: encode them first")
        leaf = nodes["is_leaf"].astype(bool)
        trees.append(
            Tree(
                column=nodes["feature_idx"].astype(int),
                threshold=nodes["num_threshold"].astype(float),
                missing_left=nodes["missing_go_to_left"].astype(bool),
                left=np.where(leaf, -1, nodes["left"].astype(int)),
                right=np.where(leaf, -1, nodes["right"].astype(int)),
                value=nodes["value"].astype(float),
                cover=nodes["count"].astype(float),
            )
        )
    return trees


def single_tree(model: DecisionTreeClassifier) -> Tree:
    """Return a fitted tree with log-odds at its leaves."""
    nodes = model.tree_
    return Tree(
        column=nodes.feature.astype(int),
        threshold=nodes.threshold.astype(float),
        missing_left=nodes.missing_go_to_left.astype(bool),
        left=nodes.children_left.astype(int),
        right=nodes.children_right.astype(int),
        value=safe_logit(nodes.value[:, 0, 1] / nodes.value[:, 0].sum(axis=1)),
        cover=nodes.weighted_n_node_samples.astype(float),
    )


def tree_parts(trees: list[Tree], z: Floats) -> tuple[float, Floats]:
    """Return the path-dependent Shapley values of a sum of trees: the base, and parts with the shape of z.

    The value of a set of columns is the tree's mean with the other columns unknown: a split on an unknown column takes
    both children, weighted by their cover.
    """
    columns_first = np.asfortranarray(z, dtype=float)
    missing = np.isnan(columns_first)
    parts = np.zeros(z.shape, order="F")
    base = 0.0
    for tree in trees:
        splits = np.flatnonzero(tree.left >= 0)
        if len(splits) > MAX_SPLITS:
            raise TypeError(f"a tree has {len(splits)} splits, at most {MAX_SPLITS} are supported")
        code = np.zeros(len(z), dtype=np.int64)
        for bit, node in enumerate(splits):
            column = tree.column[node]
            answer = columns_first[:, column] <= tree.threshold[node]
            if tree.missing_left[node]:
                answer |= missing[:, column]
            code |= answer.astype(np.int64) << bit
        mean, table = _shapley_table(tree, splits)
        base += mean
        for column, values in table.items():
            parts[:, column] += values[code]
    return base, parts


def _shapley_table(tree: Tree, splits: NDArray[np.int64]) -> tuple[float, dict[int, Floats]]:
    """Return the mean of a tree and, for each of its split columns, the Shapley value of every answer pattern.

    Each leaf is a product game. With the columns S known, the weight of the leaf is a product over all its columns j:
    the indicator "the row agrees with all splits on j" for j in S, the share of cover for j not in S.
    """
    patterns = np.arange(2 ** len(splits))
    goes_left = {node: (patterns >> bit & 1).astype(bool) for bit, node in enumerate(splits)}
    table = {int(column): np.zeros(len(patterns)) for column in np.unique(tree.column[splits])}
    mean = 0.0
    stack: list[tuple[int, dict[int, Floats], dict[int, float]]] = [(0, {}, {})]
    while stack:
        node, agrees, share = stack.pop()
        if tree.left[node] < 0:
            mean += tree.value[node] * float(np.prod(list(share.values())))
            for column, values in _product_game(agrees, share).items():
                table[column] += tree.value[node] * values
            continue
        column = int(tree.column[node])
        for child, answer in ((tree.left[node], goes_left[node]), (tree.right[node], ~goes_left[node])):
            weight = tree.cover[child] / tree.cover[node]
            stack.append(
                (
                    int(child),
                    agrees | {column: agrees.get(column, np.ones(len(patterns))) * answer},
                    share | {column: share.get(column, 1.0) * weight},
                )
            )
    return mean, table


def _product_game(agrees: dict[int, Floats], share: dict[int, float]) -> dict[int, Floats]:
    """Return the Shapley values of v(S) = product of `agrees` over S times product of `share` over the rest."""
    players, result = list(agrees), {}
    n = len(players)
    for player in players:
        others = [other for other in players if other != player]
        total = np.zeros_like(agrees[player])
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for known in combinations(others, size):
                product = np.full_like(total, weight)
                for other in others:
                    product = product * (agrees[other] if other in known else share[other])
                total += product
        result[player] = total * (agrees[player] - share[player])
    return result


def _naive_bayes_terms(model: GaussianNB, z: Floats) -> Floats:
    """Return ln N(z | class 1) - ln N(z | class 0) of each column."""
    means, variances = model.theta_, model.var_
    terms = [-0.5 * (np.log(variances[k]) + (z - means[k]) ** 2 / variances[k]) for k in (0, 1)]
    return np.asarray(terms[1] - terms[0])


def _by_input(parts: Floats, before: Pipeline, inputs: list[str], index: pd.Index) -> pd.DataFrame:
    """Sum the parts of transformed columns (missing-value flags, categories) by their input column."""
    names = before.get_feature_names_out()
    out = {name: np.zeros(len(parts)) for name in inputs}
    for place, name in enumerate(names):
        out[_origin(str(name), inputs)] += parts[:, place]
    return pd.DataFrame(out, index=index)


def _origin(name: str, inputs: list[str]) -> str:
    bare = name.split("__", 1)[1].removeprefix("missingindicator_")
    if bare in inputs:
        return bare
    return max((column for column in inputs if bare.startswith(f"{column}_")), key=len)
