"""Recount the metrics of marts.recommendations with sets and loops, without any code of the package.

python -m clm_dagster_tests.domains.recommend.recount data/clm.duckdb 2011-10-10 60
"""

import math
import sys
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

import duckdb

PLACES = 10


def recount(warehouse: Path, as_of: date, horizon_days: int) -> dict[str, dict[str, float]]:
    """Return NDCG, recall and hit of both lists over all known customers with an order in the days after as_of."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        bought = connection.execute(
            "select distinct customer_id, product_id, event_at::date from raw.events "
            "where superseded_at is null and not deleted and event_type = 'purchase' and customer_id is not null"
        ).fetchall()
        listed = connection.execute(
            "select list, customer_id, product_id from marts.recommendations where as_of = ? order by list, "
            "customer_id, rank",
            [as_of],
        ).fetchall()
    before, after = defaultdict(set), defaultdict(set)
    for customer, product, day in bought:
        if day < as_of:
            before[customer].add(product)
        elif day < as_of + timedelta(days=horizon_days):
            after[customer].add(product)
    lists: dict[str, dict[str, list[str]]] = {"next_best": {}, "discover": {}}
    for name, customer, product in listed:
        lists[name].setdefault(customer, []).append(product)
    found = {}
    for name, own in lists.items():
        measures = []
        for customer in before.keys() & after.keys():
            wanted = after[customer] - before[customer] if name == "discover" else after[customer]
            if wanted:
                measures.append(_measures(own.get(customer, [])[:PLACES], wanted))
        means = [sum(column) / len(measures) for column in zip(*measures, strict=True)]
        found[name] = dict(zip(("ndcg", "recall", "hit"), means, strict=True)) | {"customers": len(measures)}
    return found


def _measures(named: list[str], wanted: set[str]) -> tuple[float, float, float]:
    hits = [product in wanted for product in named]
    gain = sum(hit / math.log2(place + 2) for place, hit in enumerate(hits))
    best = sum(1 / math.log2(place + 2) for place in range(min(PLACES, len(wanted))))
    return gain / best, sum(hits) / len(wanted), float(any(hits))


if __name__ == "__main__":
    for name, measures in recount(
        Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), int(sys.argv[3])
    ).items():
        print(name, {key: round(value, 4) for key, value in measures.items()})
