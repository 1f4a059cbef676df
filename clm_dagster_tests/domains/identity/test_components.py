"""Components of customers and shared ids: against scipy, long chains, any order of rows, a million customers."""

import time
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection

AS_OF = datetime(2024, 6, 3)


def shared(customers: np.ndarray, ids: np.ndarray, seen: np.ndarray) -> pd.DataFrame:
    """Rows of core.shared_identifiers: customer k has an id. seen: days after 2024-01-01, by customer."""
    first = np.datetime64("2024-01-01") + seen[customers].astype("timedelta64[D]")
    return pd.DataFrame(
        {
            "as_of": AS_OF,
            "kind": np.where(ids % 3 == 0, "email_hash", "phone_hash"),
            "other_id": pd.Series(ids).astype(str),
            "customer_id": [f"c{customer:07d}" for customer in customers],
            "known_since": pd.to_datetime(first),
            "first_seen_date": pd.to_datetime(first).date,
            "customers": 2,
            "blocked_by": pd.Series([None] * len(ids), dtype="str"),
            "same": "",
        }
    )


def persons(connection: Connection, project: Project, rows: pd.DataFrame) -> pd.DataFrame:
    given = {"shared_identifiers": rows}
    relation = build(connection, project, ["customer_identities"], "scratch", given, as_of=AS_OF)[
        "customer_identities"
    ]
    return connection.frame(f"select * from {relation} order by customer_id")


def expected(customers: np.ndarray, ids: np.ndarray, seen: np.ndarray) -> dict[str, str]:
    """The person of each customer: scipy's component, and its earliest customer."""
    count = len(seen)
    edges = coo_matrix((np.ones(len(ids)), (customers, ids + count)), shape=(count + ids.max() + 1,) * 2)
    labels = connected_components(edges, directed=False)[1][:count]
    names = np.array([f"c{number:07d}" for number in range(count)])
    order = np.lexsort((names, seen))
    _, places = np.unique(labels[order], return_index=True)
    first = dict(zip(labels[order][places], names[order][places], strict=True))
    return {names[number]: first[labels[number]] for number in np.unique(customers)}


@pytest.mark.parametrize("seed", range(20))
def test_persons_are_the_connected_components(connection: Connection, project: Project, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 120))
    pairs = np.unique(rng.integers(0, count, (int(rng.integers(1, 2 * count)), 2)), axis=0)
    customers, ids, seen = pairs[:, 0], pairs[:, 1], rng.integers(0, 50, count)
    found = persons(connection, project, shared(customers, ids, seen))
    wanted = expected(customers, ids, seen)
    assert {row.customer_id: row.person_id for row in found.itertuples()}.items() <= wanted.items()
    # An id of one customer only joins nobody; core.shared_identifiers has none of them.
    together = {name for name, person in wanted.items() if list(wanted.values()).count(person) > 1}
    assert together <= set(found["customer_id"])


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_a_chain_of_a_thousand_is_one_person(connection: Connection, project: Project, order: str) -> None:
    chain = np.arange(1000)
    if order == "shuffled":
        chain = np.random.default_rng(1).permutation(1000)
    customers, ids = np.r_[chain[:-1], chain[1:]], np.r_[np.arange(999), np.arange(999)]
    found = persons(connection, project, shared(customers, ids, np.arange(1000) % 100))
    assert len(found) == 1000
    assert set(found["person_id"]) == {"c0000000"}


def test_the_order_of_rows_changes_nothing(connection: Connection, project: Project) -> None:
    rng = np.random.default_rng(3)
    pairs = np.unique(rng.integers(0, 300, (500, 2)), axis=0)
    rows = shared(pairs[:, 0], pairs[:, 1], rng.integers(0, 20, 300))
    first = persons(connection, project, rows)
    for seed in range(3):
        again = persons(connection, project, rows.sample(frac=1, random_state=seed, ignore_index=True))
        pd.testing.assert_frame_equal(first, again)


def test_a_new_id_does_not_change_the_person(connection: Connection, project: Project) -> None:
    rng = np.random.default_rng(4)
    pairs = np.unique(rng.integers(0, 200, (150, 2)), axis=0)
    seen = np.arange(200) // 2
    rows = shared(pairs[:, 0], pairs[:, 1], seen)
    late = rows["first_seen_date"] >= date(2024, 1, 1) + timedelta(days=60)
    before = persons(connection, project, rows[~late].reset_index(drop=True)).set_index("customer_id")
    after = persons(connection, project, rows).set_index("customer_id")
    kept = after.loc[before.index, "person_id"]
    # Of two persons that a new id joins, the older one stays; here, names follow the days. A new id is no person.
    assert (kept == before["person_id"].groupby(kept).transform("min")).all()
    assert (kept == before["person_id"]).mean() > 0.5


@pytest.mark.slow
def test_a_million_customers_take_less_than_a_minute(connection: Connection, project: Project) -> None:
    """A million customers share 750,000 ids: 450,000 of them are in persons of two or more, some of hundreds."""
    rng = np.random.default_rng(5)
    count = 1_000_000
    customers = np.r_[np.arange(count), rng.integers(0, count, count // 5)]
    ids = np.r_[rng.permutation(count) // 2, rng.integers(0, count // 2, count // 5)]
    pairs = pd.DataFrame({"customer": customers, "id": ids}).drop_duplicates()
    customers, ids = pairs["customer"].to_numpy(), pairs["id"].to_numpy()
    seen = rng.integers(0, 150, count)
    connection.load_frame("main.million", shared(customers, ids, seen))
    start = time.perf_counter()
    built = build(
        connection,
        project,
        ["customer_identities"],
        "scratch",
        {"shared_identifiers": "main.million"},
        as_of=AS_OF,
    )["customer_identities"]
    seconds = time.perf_counter() - start
    found = connection.frame(f"select customer_id, person_id from {built}")
    wanted = expected(customers, ids, seen)
    assert dict(zip(found["customer_id"], found["person_id"], strict=True)) == wanted
    assert seconds < 60, f"{seconds:.1f} s"
