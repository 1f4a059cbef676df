"""Pairs compared with brute force in pandas, and with the published French baskets to the last digit."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import permutations
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom

from clm_dagster.domains.recommend import similarity
from clm_dagster.domains.recommend.affinity import COLUMNS, PairLimits, common_baskets, product_affinity
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.association import rule_measures

START, END = date(2024, 1, 1), date(2024, 3, 1)


@pytest.fixture
def database() -> Iterator[Connection]:
    with duckdb.connect() as opened:
        yield Connection(opened)


def order_lines(seed: int = 5, orders: int = 120, products: int = 9) -> pd.DataFrame:
    """Draw lines from a week before START to a week after END, some of them not purchases, some duplicated."""
    rng = np.random.default_rng(seed)
    order, product = np.nonzero(rng.random((orders, products)) < rng.uniform(0.05, 0.6, products))
    days = rng.integers(-7, (END - START).days + 7, orders)
    lines = pd.DataFrame(
        {
            "order_id": [f"o{o // 2}" for o in order],
            # An id that a customer and a guest share is two orders.
            "customer_id": [f"c{o}" if o % 3 else None for o in order],
            "product_id": [f"p{p}" for p in product],
            "event_at": [
                datetime.combine(START, datetime.min.time()) + timedelta(days=int(days[o])) for o in order
            ],
            "line_type": rng.choice(["purchase", "return", "gift"], len(order), p=[0.9, 0.05, 0.05]),
        }
    )
    return pd.concat([lines, lines.sample(30, random_state=1)], ignore_index=True)


def brute_force(lines: pd.DataFrame, minimum: int) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    inside = lines[
        (lines.line_type == "purchase") & (lines.event_at >= str(START)) & (lines.event_at < str(END))
    ]
    baskets = list(inside.groupby(["order_id", "customer_id"], dropna=False).product_id.agg(set))
    items = sorted(set().union(*baskets))
    found = {}
    for one, other in permutations(items, 2):
        both = sum({one, other} <= basket for basket in baskets)
        if both >= minimum:
            sides = (sum(one in basket for basket in baskets), sum(other in basket for basket in baskets))
            found[(one, other)] = (both, *sides, len(baskets))
    return found


def test_pairs_match_brute_force(database: Connection) -> None:
    lines = order_lines()
    database.load_frame("lines", lines)
    table = product_affinity(database, START, END, 0.05, min_baskets=1, lines="lines").rows
    assert tuple(table.columns) == COLUMNS
    total = int(table.all_baskets[0])
    expected = brute_force(lines, int(np.ceil(0.05 * total)))
    counts = table[["baskets", "product_baskets", "other_baskets", "all_baskets"]].itertuples(
        index=False, name=None
    )
    pairs = list(zip(table.product_id, table.other_product_id, strict=True))
    assert dict(zip(pairs, counts, strict=True)) == expected
    assert pairs == sorted(pairs)
    measures = rule_measures(table.baskets, table.product_baskets, table.other_baskets, table.all_baskets)
    for name in ("support", "confidence", "lift", "leverage", "conviction", "p_value"):
        np.testing.assert_allclose(table[name], measures[name], rtol=1e-12, atol=1e-15, err_msg=name)


def test_row_order_does_not_matter_and_the_support_is_inclusive(database: Connection) -> None:
    lines = order_lines()
    database.load_frame("lines", lines)
    database.load_frame("shuffled", lines.sample(frac=1, random_state=2))
    some = product_affinity(database, START, END, 0.1, lines="lines").rows
    pd.testing.assert_frame_equal(some, product_affinity(database, START, END, 0.1, lines="shuffled").rows)
    least = some.sort_values("support").iloc[0]
    again = product_affinity(database, START, END, least.support, lines="lines").rows
    pd.testing.assert_frame_equal(some[some.support >= least.support], again)


def test_few_baskets_give_no_pairs_and_a_rule_without_counterexample_no_conviction(
    database: Connection,
) -> None:
    rows = [(f"o{i}", p) for i in range(6) for p in ("a", "b")] + [("o9", "b")]
    lines = pd.DataFrame(rows, columns=["order_id", "product_id"]).assign(customer_id="c")
    database.load_frame("lines", lines.assign(line_type="purchase", event_at=pd.Timestamp(START)))
    table = product_affinity(database, START, END, 0.01, lines="lines").rows.set_index("product_id")
    assert table.confidence["a"] == 1 and pd.isna(table.conviction["a"])
    assert table.conviction["b"] == pytest.approx((1 - 6 / 7) / (1 - 6 / 7))
    assert product_affinity(database, START, END, 0.01, min_baskets=7, lines="lines").rows.empty
    assert product_affinity(database, date(2025, 1, 1), date(2025, 2, 1), 0.01, lines="lines").rows.empty


def test_the_threshold_is_chosen_from_the_baskets(database: Connection) -> None:
    """1.6 lines a basket: a pair that is together in 8 of 3,000 baskets is found, pairs by chance are not."""
    rng = np.random.default_rng(7)
    order = np.repeat(np.arange(3000), rng.geometric(1 / 1.6, 3000))
    rows = pd.DataFrame({"order": order, "product": rng.integers(0, 300, len(order))})
    planted = pd.DataFrame({"order": np.repeat(np.arange(8), 2), "product": [900, 901] * 8})
    rows = pd.concat([rows, planted])
    lines = pd.DataFrame(
        {"order_id": rows["order"].astype(str), "product_id": "p" + rows["product"].astype(str)}
    )
    database.load_frame("lines", purchases(lines))
    pairs = product_affinity(database, START, END, None, lines="lines")
    assert pairs.threshold is not None and pairs.threshold.baskets == 5 and not pairs.raised
    frequent = int((lines.drop_duplicates()["product_id"].value_counts() >= 5).sum())
    assert pairs.tests == frequent * (frequent - 1) // 2
    significant = pairs.rows[pairs.rows.q_value < 0.05]
    assert set(zip(significant.product_id, significant.other_product_id, strict=True)) == {
        ("p900", "p901"),
        ("p901", "p900"),
    }
    # The most significant pair has as q-value its p-value times the number of tests.
    smallest = hypergeom.sf(7, 3000, 8, 8)
    assert significant.q_value.to_numpy() == pytest.approx(smallest * pairs.tests)
    assert product_affinity(database, START, END, 0.01, lines="lines").rows.empty


def purchases(lines: pd.DataFrame) -> pd.DataFrame:
    return lines.assign(customer_id="c", line_type="purchase", event_at=pd.Timestamp(START))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (PairLimits(pairs=10), "pairs are in at least"),
        (PairLimits(candidates=60), "rows of up to"),
        (PairLimits(joined=1500), "rows of up to"),
    ],
)
def test_the_threshold_is_raised_to_stay_within_the_limits(
    database: Connection, limits: PairLimits, reason: str
) -> None:
    lines = order_lines(seed=6, orders=400, products=14)
    database.load_frame("lines", lines)
    free = product_affinity(database, START, END, None, min_baskets=2, lines="lines")
    bound = product_affinity(database, START, END, None, min_baskets=2, lines="lines", limits=limits)
    assert free.threshold is not None and bound.threshold is not None
    assert bound.raised and not free.raised and reason in bound.threshold.reason
    count = bound.threshold.baskets
    assert count > 2 and np.log2(count / 2) % 1 == 0
    assert len(bound.rows) < len(free.rows) and len(bound.rows) <= 2 * limits.pairs
    inside = free.rows[free.rows.baskets >= count].drop(columns="q_value").reset_index(drop=True)
    pd.testing.assert_frame_equal(bound.rows.drop(columns="q_value"), inside)


def test_the_size_of_the_join_is_known_before_it(database: Connection) -> None:
    lines = order_lines(orders=400, products=14)
    database.load_frame("lines", lines)
    inside = lines[
        (lines.line_type == "purchase") & (lines.event_at >= str(START)) & (lines.event_at < str(END))
    ].drop_duplicates(["order_id", "customer_id", "product_id"])
    inside = inside.assign(seen=inside.groupby("product_id").order_id.transform("size"))
    first = inside.groupby(["order_id", "customer_id"], dropna=False).size()
    joined = int((first * (first - 1) // 2).sum())
    enough = PairLimits(joined=joined)
    assert not product_affinity(
        database, START, END, None, min_baskets=2, lines="lines", limits=enough
    ).raised
    doubled = inside[inside.seen >= 4].groupby(["order_id", "customer_id"], dropna=False).size()
    assert int((doubled * (doubled - 1) // 2).sum()) <= joined
    tight = PairLimits(joined=joined - 1)
    found = product_affinity(database, START, END, None, min_baskets=2, lines="lines", limits=tight)
    assert found.threshold is not None and f"make {joined:,} rows" in found.threshold.reason


def test_a_handful_of_baskets_can_hold_nothing_significant(database: Connection) -> None:
    lines = pd.DataFrame(
        {"order_id": np.repeat([f"o{n}" for n in range(6)], 2), "product_id": ["a", "b"] * 6}
    )
    database.load_frame("lines", purchases(lines))
    assert product_affinity(database, START, END, None, lines="lines").threshold is None
    assert not database.execute("select 1 from duckdb_tables() where table_name like 'affinity%'")


def test_french_baskets_to_the_last_digit(database: Connection, reference_data: Path) -> None:
    """REFERENCE.md: 392 invoices of Online Retail in France, no C invoices; orders of postage alone are baskets."""
    raw = pd.read_parquet(reference_data / "online_retail_ii" / "year_2010_2011.parquet")
    raw.columns = [c.lower().replace(" ", "") for c in raw.columns]
    wanted = (raw["country"] == "France") & ~raw["invoice"].astype(str).str.startswith("C")
    france = raw[wanted & raw["description"].notna()]
    lines = pd.DataFrame(
        {
            "order_id": france["invoice"].astype(str),
            "customer_id": france["customerid"].astype(str),
            "product_id": france["description"].str.strip(),
            "line_type": "purchase",
            "event_at": pd.to_datetime(france["invoicedate"]),
        }
    )
    database.load_frame("lines", lines.reset_index(drop=True))
    table = product_affinity(database, date(2010, 12, 1), date(2011, 12, 10), 0.07, lines="lines").rows
    assert set(table.all_baskets) == {392}
    pairs = table.set_index(["product_id", "other_product_id"])
    clocks = pairs.T[("ALARM CLOCK BAKELIKE RED", "ALARM CLOCK BAKELIKE GREEN")]
    found = clocks[["support", "confidence", "lift", "leverage", "conviction"]].astype(float).round(6)
    assert found.to_list() == [0.079082, 0.837838, 8.642959, 0.069932, 5.568878]
    plates, cups = "SET/6 RED SPOTTY PAPER PLATES", "SET/6 RED SPOTTY PAPER CUPS"
    assert round(float(pairs.confidence[(plates, cups)]), 6) == 0.96
    assert round(float(pairs.confidence[(cups, plates)]), 6) == 0.888889
    assert round(float(pairs.lift[(plates, cups)]), 6) == 6.968889


def test_common_baskets_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    basket, product = np.nonzero(rng.random((80, 12)) < 0.4)
    lines = pd.DataFrame({"basket": basket, "product": 3 * product})
    baskets = [set(rows) for _, rows in lines.groupby("basket")["product"]]
    expected = []
    for one in range(0, 36, 3):
        for other in range(one + 3, 36, 3):
            both = sum({one, other} <= items for items in baskets)
            expected += [(one, other, both)] if both >= 10 else []
    assert 0 < len(expected) < 66
    for cells in (1, 30, 1000):
        monkeypatch.setattr(similarity, "CELLS", cells)
        assert list(common_baskets(lines, 10).itertuples(index=False, name=None)) == expected
