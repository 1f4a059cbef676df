"""Clustering: the number of clusters, k-means, a comparison with other methods, and factor analysis.

Belongs here: functions of arrays. Does not: what the columns mean, and the names of clusters.

Everything runs in one thread, because sums over several threads differ in their last digits between runs.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

SEED = 20_260_101
MAX_FIT = 50_000  # most customers that k-means is fitted on; the others are only assigned
MAX_SAMPLE = 5_000  # most customers for curves and comparisons (the silhouette is quadratic)
MAX_COMPARED = 2_000  # most customers of the comparison with other methods
_ROWS = 500  # rows of distances that are computed at once
KS = range(2, 10)
FEWEST_PERSONAS = 3  # two clusters only separate "more" from "less"; prefer more if they are stable
STABLE = 0.8
# Up to this silhouette, clusters cut a cloud without gaps into pieces.
CLEAR = 0.1
# A split must be clearer by this much than the same split of customers whose habits are independent of each other.
ABOVE_INDEPENDENT = 0.02
_SHUFFLES = 3
# A cluster is a group of at least this share of the sample, and of this many customers.
SMALLEST_SHARE, SMALLEST = 0.02, 25
_REFITS = 10
NO_GROUPS = "no clear groups"


@dataclass(frozen=True)
class Choice:
    """The number of clusters that the rule chose, 1 if there are no clear groups, and the curves over k."""

    k: int
    ks: list[int]
    silhouette: list[float]
    stability: list[float]
    rule: str

    def at(self, curve: list[float]) -> float | None:
        """Return the value of a curve at the chosen k, or None if there was no choice."""
        return curve[self.ks.index(self.k)] if self.k in self.ks else None


@dataclass(frozen=True)
class Comparison:
    """The result of another clustering method on the sample."""

    method: str
    clusters: int
    noise_share: float
    silhouette: float | None
    agreement: float  # adjusted Rand index with the k-means labels


def _one_thread() -> AbstractContextManager[object]:
    """Limit all libraries to one thread."""
    limiter: AbstractContextManager[object] = _controller().limit(limits=1)
    return limiter


@cache
def _controller() -> ThreadpoolController:
    """Return the libraries with threads that scikit-learn uses. To look for them takes 10 ms, so it is done once."""
    import sklearn.cluster  # noqa: F401

    return ThreadpoolController()


def sample(count: int, most: int) -> np.ndarray:
    """Return sorted row numbers of a sample without replacement; all rows if there are at most `most`."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(SEED).choice(count, most, replace=False))


def fit_kmeans(points: np.ndarray, k: int, seed: int = SEED, starts: int = 10) -> np.ndarray:
    """Return the centres of k-means (k-means++, Lloyd), shape (k, features), largest cluster first."""
    from sklearn.cluster import KMeans

    with _one_thread():
        found = KMeans(k, n_init=starts, random_state=seed).fit(points)
    sizes = np.bincount(found.labels_, minlength=k)
    centres: np.ndarray = found.cluster_centers_[np.lexsort((np.arange(k), -sizes))]
    return centres


def nearest(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the nearest centre and the distances to all centres, shapes (n,) and (n, k)."""
    squares = (points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares, 0))
    return distances.argmin(axis=1), distances


def choose_k(points: np.ndarray) -> Choice:
    """Choose the number of clusters of a sample, by two curves.

    Silhouette: Rousseeuw 1987. Stability: mean adjusted Rand index between the clusters of the sample and the
    clusters of k-means refitted on bootstrap resamples, both over the whole sample (Hennig 2007). The rule takes
    the best silhouette among all k >= 3 whose clusters are clear: a stability of at least STABLE, a silhouette above
    CLEAR and above that of shuffled habits by ABOVE_INDEPENDENT, and no cluster below SMALLEST customers or
    SMALLEST_SHARE of them. If there is none, the customers have no clear groups, and k is 1.

    Shuffled habits: each column permuted for itself, which keeps its distribution and destroys the groups (the idea of
    the gap statistic, Tibshirani et al. 2001). A single long cloud is cut at the same places again and again, and its
    stability alone would pass.
    """
    from sklearn.metrics import adjusted_rand_score

    kinds = np.unique(points, axis=0, return_inverse=True)[1]
    distinct = int(kinds.max()) + 1 if len(points) else 0
    ks = [k for k in KS if k < min(distinct, len(points))]
    if not ks:
        return Choice(min(distinct, 1), [], [], [], f"{NO_GROUPS}: {distinct} distinct customer(s)")
    draws = np.random.default_rng(SEED).integers(len(points), size=(_REFITS, len(points)))
    stabilities, smallest, found = [], [], []
    with _one_thread():
        for k in ks:
            labels, _ = nearest(points, fit_kmeans(points, k, starts=5))
            found.append(labels)
            smallest.append(int(np.bincount(labels, minlength=k).min()))
            agreements = []
            for draw in draws:
                if len(np.unique(kinds[draw])) < k:
                    agreements.append(0.0)  # the resample has fewer than k distinct customers
                    continue
                other, _ = nearest(points, fit_kmeans(points[draw], k, starts=3))
                agreements.append(float(adjusted_rand_score(labels, other)))
            stabilities.append(float(np.mean(agreements)))
        silhouettes = silhouettes_of(points, found)
    allowed = [i for i, k in enumerate(ks) if k >= FEWEST_PERSONAS] or list(range(len(ks)))
    fewest = max(SMALLEST, int(np.ceil(SMALLEST_SHARE * len(points))))
    stable = [
        i for i in allowed if stabilities[i] >= STABLE and silhouettes[i] > CLEAR and smallest[i] >= fewest
    ]
    shuffled = cache(lambda i: _silhouette_of_shuffled(points, ks[i]))
    for best in sorted(stable, key=lambda i: -silhouettes[i]):
        if silhouettes[best] >= shuffled(best) + ABOVE_INDEPENDENT:
            rule = (
                f"k = {ks[best]}: the best silhouette among the clear splits (silhouette {silhouettes[best]:.2f}, of "
                f"shuffled habits {shuffled(best):.2f}, stability {stabilities[best]:.2f}, smallest group "
                f"{smallest[best]} customers)"
            )
            return Choice(ks[best], ks, silhouettes, stabilities, rule)
    best = max(allowed, key=lambda i: stabilities[i])
    rule = (
        f"{NO_GROUPS}: the most stable split, into {ks[best]}, has a stability of {stabilities[best]:.2f} (at least "
        f"{STABLE:g} is needed), a silhouette of {silhouettes[best]:.2f} (above {CLEAR:g}, and above the "
        f"{shuffled(best):.2f} of shuffled habits by {ABOVE_INDEPENDENT:g}) and a smallest "
        f"group of {smallest[best]} customers ({fewest})"
    )
    return Choice(1, ks, silhouettes, stabilities, rule)


def _silhouette_of_shuffled(points: np.ndarray, k: int) -> float:
    """Return the mean silhouette of k clusters of the same habits, each permuted for itself."""
    rng = np.random.default_rng(SEED)
    found = []
    with _one_thread():
        for _ in range(_SHUFFLES):
            shuffled = rng.permuted(points, axis=0)
            labels, _distances = nearest(shuffled, fit_kmeans(shuffled, k, starts=5))
            found += silhouettes_of(shuffled, [labels])
    return float(np.mean(found))


def silhouettes_of(points: np.ndarray, labelings: Sequence[np.ndarray]) -> list[float]:
    """Return the mean silhouette (Rousseeuw 1987) of each labeling of the same n points, -1 for a single cluster.

    The distances, which are quadratic in n, are computed once for all labelings, and their sums by cluster are products
    of matrices. The members of a cluster of one have the silhouette 0, as in scikit-learn.
    """
    codes = [np.unique(labels, return_inverse=True)[1] for labels in labelings]
    widths = [int(code.max()) + 1 for code in codes]
    members = np.concatenate([np.eye(width)[code] for code, width in zip(codes, widths, strict=True)], axis=1)
    edges = np.cumsum([0, *widths])
    totals = np.zeros(len(labelings))
    squares = (points**2).sum(axis=1)
    for start in range(0, len(points), _ROWS):
        rows = slice(start, min(start + _ROWS, len(points)))
        distances = squares[rows, None] + squares - 2 * points[rows] @ points.T
        np.sqrt(np.maximum(distances, 0, out=distances), out=distances)
        distances[np.arange(rows.stop - start), np.arange(start, rows.stop)] = 0.0
        sums = distances @ members
        for i, (code, width) in enumerate(zip(codes, widths, strict=True)):
            if width > 1:
                sizes = np.bincount(code, minlength=width)
                totals[i] += _silhouette_sum(sums[:, edges[i] : edges[i + 1]], code[rows], sizes)
    return [
        float(total / len(points)) if width > 1 else -1.0 for total, width in zip(totals, widths, strict=True)
    ]


def _silhouette_sum(sums: np.ndarray, code: np.ndarray, sizes: np.ndarray) -> float:
    """Return the sum of silhouettes. sums: distances of m points to the members of each cluster, shape (m, k)."""
    places = np.arange(len(code))
    own = sums[places, code] / np.maximum(sizes[code] - 1, 1)
    others = sums / sizes
    others[places, code] = np.inf
    nearest_other = others.min(axis=1)
    larger = np.maximum(own, nearest_other)
    values = np.divide(nearest_other - own, larger, out=np.zeros(len(code)), where=larger > 0)
    return float(values[sizes[code] > 1].sum())


def compare(points: np.ndarray, labels: np.ndarray) -> list[Comparison]:
    """Compare DBSCAN, HDBSCAN and Ward's hierarchical clustering of a sample with the k-means `labels`.

    The radius of DBSCAN is the 90th percentile of the distance to the 10th neighbour. The smallest cluster of
    HDBSCAN has 2% of the sample. Ward's tree is cut at the number of clusters in `labels`. At most MAX_COMPARED points
    are compared: these methods are quadratic, and no persona depends on them.
    """
    from sklearn.cluster import DBSCAN, HDBSCAN, AgglomerativeClustering
    from sklearn.neighbors import NearestNeighbors

    rows = sample(len(points), MAX_COMPARED)
    points, labels = points[rows], labels[rows]
    count, k = len(points), len(np.unique(labels))
    if count < 20 or k < 2:
        return []
    with _one_thread():
        reach = NearestNeighbors(n_neighbors=10).fit(points).kneighbors(points)[0][:, -1]
        radius = max(float(np.quantile(reach, 0.9)), 1e-6)
        methods = {
            "DBSCAN": DBSCAN(eps=radius, min_samples=10),
            "HDBSCAN": HDBSCAN(min_cluster_size=max(count // 50, 5), copy=True),
            "hierarchical (Ward)": AgglomerativeClustering(n_clusters=k),
        }
        return [
            _compare_method(name, points, labels, method.fit_predict(points))
            for name, method in methods.items()
        ]


def _compare_method(name: str, points: np.ndarray, labels: np.ndarray, found: np.ndarray) -> Comparison:
    from sklearn.metrics import adjusted_rand_score

    inside = found >= 0
    clusters = len(np.unique(found[inside]))
    good = clusters > 1 and inside.sum() > clusters
    return Comparison(
        name,
        clusters,
        float(1 - inside.mean()),
        silhouettes_of(points[inside], [found[inside]])[0] if good else None,
        float(adjusted_rand_score(labels, found)),
    )


def factor_loadings(points: np.ndarray) -> np.ndarray:
    """Return the loadings of a maximum-likelihood factor analysis after varimax rotation, shape (features, factors).

    The number of factors is the number of eigenvalues of the correlation matrix above 1 (Kaiser 1960), limited to
    1 to 4. Each factor is signed so that its largest loading is positive. The result has no factors if there are
    fewer than three features or ten customers.
    """
    from sklearn.decomposition import FactorAnalysis

    count, width = points.shape
    if width < 3 or count < 10:
        return np.zeros((width, 0))
    deviation = points.std(axis=0)
    standard = (points - points.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    with _one_thread():
        eigenvalues = np.linalg.eigvalsh(standard.T @ standard / count)
        factors = int(np.clip((eigenvalues > 1).sum(), 1, min(4, width - 1)))
        rotation = "varimax" if factors > 1 else None
        fitted = FactorAnalysis(factors, rotation=rotation, svd_method="lapack", max_iter=5_000).fit(standard)
    loadings = fitted.components_.T
    strongest = np.abs(loadings).argmax(axis=0)
    signed: np.ndarray = loadings * np.where(loadings[strongest, np.arange(factors)] < 0, -1.0, 1.0)
    return signed
