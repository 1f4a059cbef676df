"""The package `implicit`, and EASE in plain numpy: run by `recommend_peers` with the Python of implicit's environment.

    python recommend_peer.py similarity pairs.npz repeats
    python recommend_peer.py als|ease folder lists.npz

Belongs here: what needs the peer alone. It imports nothing of this project.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

# One thread, as in our measurement; this must be set before numpy is imported.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402

NEIGHBOURS, FACTORS, RIDGE, K = 100, 64, 300.0, 10


def similarity(path: str, repeats: str) -> dict[str, Any]:
    """Seconds of the nearest products of each by cosine."""
    from implicit.nearest_neighbours import CosineRecommender

    matrix = sparse.csr_matrix(sparse.load_npz(path))
    seconds = []
    for _ in range(int(repeats)):
        start = time.perf_counter()
        # Each product counts among its own neighbours.
        model = CosineRecommender(K=NEIGHBOURS + 1, num_threads=1)
        model.fit(matrix, show_progress=False)
        seconds.append(time.perf_counter() - start)
    found = model.similarity.tocsr()
    own = found.diagonal()
    return {
        "seconds": median(seconds),
        "pairs": int(found.nnz - (own > 0).sum()),
        "sum": float(found.sum() - own.sum()),
    }


def als(folder: str, lists: str) -> dict[str, Any]:
    """Alternating least squares on decayed confidence."""
    from implicit.als import AlternatingLeastSquares

    decayed = sparse.csr_matrix(sparse.load_npz(f"{folder}/decayed.npz"))
    start = time.process_time()
    model = AlternatingLeastSquares(factors=FACTORS, num_threads=1, random_state=0)
    model.fit(decayed, show_progress=False)
    fitted = time.process_time() - start
    scores = lambda rows: model.user_factors[rows] @ model.item_factors.T  # noqa: E731
    return {"fit": fitted, "list": _listed(decayed, folder, lists, scores)}


def ease(folder: str, lists: str) -> dict[str, Any]:
    """The ridge regression of each product on the others; scores of decayed profiles."""
    decayed = sparse.csr_matrix(sparse.load_npz(f"{folder}/decayed.npz"))
    start = time.process_time()
    seen = decayed.sign()
    gram = (seen.T @ seen).toarray()
    gram[np.diag_indices(len(gram))] += RIDGE
    precision = np.linalg.inv(gram)
    weights = -precision / np.diag(precision)
    weights[np.diag_indices(len(weights))] = 0
    fitted = time.process_time() - start
    return {"fit": fitted, "list": _listed(decayed, folder, lists, lambda rows: decayed[rows] @ weights)}


def _listed(
    decayed: sparse.csr_matrix, folder: str, lists: str, scores: Callable[[np.ndarray], np.ndarray]
) -> float:
    """Write the best ten of all and of new products for the customers of rows.npy; processor seconds."""
    start = time.process_time()
    found: dict[str, list[np.ndarray]] = {"all": [], "new": []}
    for rows in np.array_split(np.load(f"{folder}/rows.npy"), 8):
        values = np.array(scores(rows))
        found["all"].append(np.argsort(-values, axis=1, kind="stable")[:, :K])
        values[decayed[rows].toarray() > 0] = -np.inf
        found["new"].append(np.argsort(-values, axis=1, kind="stable")[:, :K])
    np.savez(lists, all=np.vstack(found["all"]), new=np.vstack(found["new"]))
    return time.process_time() - start


if __name__ == "__main__":
    print(json.dumps({"similarity": similarity, "als": als, "ease": ease}[sys.argv[1]](*sys.argv[2:])))
