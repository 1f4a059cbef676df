"""Comparison of recommenders: similar products by scipy, SQL and `implicit`; the two stages with ALS and EASE.

Belongs here: the same work given to each, one thread for all. Does not: how cost grows (`recommend_scale`), words
(`report`), what needs the peer's own environment (`recommend_peer`).
"""

import json
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy import sparse

SEED, EACH, PRODUCTS, TASTES, NEIGHBOURS = 20, 20, 5_000, 50, 100
# The date of the published table, and others: the ranker's settings were chosen at the first two of them.
AS_OF, OTHERS, HORIZON = "2011-10-10", ("2011-06-01", "2011-08-01", "2011-03-01"), 60


def pairs(interactions: int) -> sparse.csr_array:
    """Customers of fifty tastes x products, weights of pairs; some twenty products each, most of them popular ones."""
    rng = np.random.default_rng(SEED)
    customer = np.repeat(np.arange(interactions // EACH), EACH)
    width = PRODUCTS // TASTES
    shelf = np.where(rng.random(interactions) < 0.8, customer % TASTES, rng.integers(0, TASTES, interactions))
    product = shelf * width + np.minimum(
        (width * rng.random(interactions) ** 2.5).astype(np.int64), width - 1
    )
    shape = (interactions // EACH, PRODUCTS)
    return sparse.csr_array((rng.random(interactions) + 0.1, (customer, product)), shape=shape)


def similarity(path: str, repeats: int, method: str) -> dict[str, Any]:
    """Seconds of the hundred nearest products of each by cosine: by `scipy`, as the package does, or by `duckdb`."""
    matrix = sparse.csr_array(sparse.load_npz(path))
    seconds, found = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        found = {"scipy": _by_scipy, "duckdb": _by_sql}[method](matrix)
        seconds.append(time.perf_counter() - start)
    assert found is not None
    return {"seconds": median(seconds), "pairs": found[0], "sum": found[1]}


def _by_scipy(matrix: sparse.csr_array) -> tuple[int, float]:
    from threadpoolctl import threadpool_limits

    from clm_dagster.domains.recommend.similarity import neighbours

    with threadpool_limits(1):
        found = neighbours(matrix.T.tocsr(), NEIGHBOURS)
    return found.nnz, float(found.sum())


def _by_sql(matrix: sparse.csr_array) -> tuple[int, float]:
    import duckdb
    import pandas as pd

    rows = matrix.tocoo()
    # Found by its name in the query.
    bought = pd.DataFrame({"customer": rows.coords[0], "product": rows.coords[1], "weight": rows.data})
    connection = duckdb.connect(config={"threads": 1})
    try:
        return connection.execute(
            f"""
            with units as (
                select customer, product, weight / sqrt(sum(weight * weight) over (partition by product)) as weight
                from bought
            ),
            cosines as (
                select a.product, b.product as other, sum(a.weight * b.weight) as cosine
                from units as a inner join units as b on a.customer = b.customer and a.product <> b.product
                group by all
            ),
            best as (
                select cosine from cosines
                qualify row_number() over (partition by product order by cosine desc, other) <= {NEIGHBOURS}
            )
            select count(*), sum(cosine) from best
            """
        ).fetchall()[0]
    finally:
        connection.close()
        del bought


def two_stages(folder: str, as_of: str) -> dict[str, Any]:
    """Fit the ranker on the real shop before as_of and make lists for customers with an order in the next sixty days.

    Leaves in `folder` what a peer needs for the same: decayed pairs, what was bought, who is asked.
    """
    from threadpoolctl import threadpool_limits

    from clm_dagster.domains.recommend.interactions import interactions
    from clm_dagster.domains.recommend.metrics import window_truth
    from clm_dagster.domains.recommend.ranking import Ranker
    from clm_dagster_tests.domains.recommend.retail import retail_lines, retail_names

    lines = retail_lines(Path(folder).parent / "reference")
    names, day = retail_names(lines), date.fromisoformat(as_of)
    later = interactions(lines, day + timedelta(days=HORIZON))
    past = later.before(day)
    rows = window_truth(later, past, HORIZON).rows
    with threadpool_limits(1):
        start = time.process_time()
        ranker = Ranker().fit(past, names)
        fitted = time.process_time() - start
        lists = ranker.lists(past, rows)
        listed = time.process_time() - start - fitted
    sparse.save_npz(f"{folder}/decayed.npz", sparse.csr_matrix(past.decayed(240)))
    np.save(f"{folder}/rows.npy", rows)
    mine = {
        name: lists[lists["list"] == kind]
        .pivot(index="customer", columns="rank", values="product")
        .fillna(-1)
        for name, kind in (("all", "next_best"), ("new", "discover"))
    }
    return {
        "fit": fitted,
        "list": listed,
        "customers": len(rows),
        "products": past.shape[1],
        "instants": len(ranker.days) + 1,
        **{
            f"ndcg_{name}": _ndcg(later, past, found.index.to_numpy(), found.to_numpy(int), name)
            for name, found in mine.items()
        },
    }


def graded(folder: str, lists: str) -> dict[str, float]:
    """NDCG@10 of a peer's lists, arrays all and new of the customers of rows.npy."""
    from clm_dagster.domains.recommend.interactions import interactions
    from clm_dagster_tests.domains.recommend.retail import retail_lines

    day = date.fromisoformat(AS_OF)
    later = interactions(retail_lines(Path(folder).parent / "reference"), day + timedelta(days=HORIZON))
    rows, found = np.load(f"{folder}/rows.npy"), np.load(lists)
    return {f"ndcg_{name}": _ndcg(later, later.before(day), rows, found[name], name) for name in found}


def _ndcg(later: Any, past: Any, rows: np.ndarray, products: np.ndarray, kind: str) -> float:
    from clm_dagster.domains.recommend.metrics import list_metrics, window_truth

    truth = window_truth(later, past, HORIZON, kind)
    place = np.searchsorted(rows, truth.rows)
    assert np.array_equal(rows[place], truth.rows)
    return float(list_metrics(truth, products[place])["ndcg"].mean())


def compare(reference: Path, work: str, sizes: list[int], repeats: int, peer: str | None) -> dict[str, Any]:
    """Run every method at every size, and the two stages, ALS and EASE; `peer` is the Python that has implicit."""
    from clm_dagster_tests.benchmarks import children

    folder = Path(work) / "peers"
    folder.mkdir()
    (Path(work) / "reference").symlink_to(reference)
    found: dict[str, Any] = {"similarity": {}}
    for size in sizes:
        path = f"{folder}/pairs-{size}.npz"
        sparse.save_npz(path, sparse.csr_matrix(pairs(size)))
        methods = {
            method: children.run("recommend_peers:similarity", path=path, repeats=repeats, method=method)
            for method in ("scipy", "duckdb")
        }
        if peer:
            methods["implicit"] = _peer(peer, "similarity", path, str(repeats))
        found["similarity"][size] = methods
    # AS_OF last: a peer takes what it leaves.
    for as_of in (*OTHERS, AS_OF):
        name = "two_stages" if as_of == AS_OF else f"two_stages at {as_of}"
        found[name] = children.run("recommend_peers:two_stages", folder=str(folder), as_of=as_of)
    if peer:
        for name in ("als", "ease"):
            lists = f"{folder}/{name}.npz"
            found[name] = _peer(peer, name, str(folder), lists)
            found[name] |= children.run("recommend_peers:graded", folder=str(folder), lists=lists)
    return found


def _peer(python: str, *arguments: str) -> dict[str, Any]:
    script = Path(__file__).with_name("recommend_peer.py")
    done = subprocess.run([python, str(script), *arguments], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
