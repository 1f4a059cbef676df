"""Sentences, lists for cold customers, and similar products, on shops written by hand."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend.candidates import ItemNeighbours
from clm_dagster.domains.recommend.cold import ColdStart
from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster.domains.recommend.reasons import Explainer, repeat_reasons
from clm_dagster.domains.recommend.similar import similar_products
from clm_dagster_tests.domains.recommend.shop import AS_OF


def shop(*purchases: tuple[str, str, int]) -> Interactions:
    """Return purchases from (customer, product, days before AS_OF)."""
    frame = pd.DataFrame(purchases, columns=["customer_id", "product_id", "ago"])
    frame["day"] = [AS_OF - timedelta(days=ago) for ago in frame["ago"]]
    return interactions(
        frame.assign(quantity=1, order_id=frame["customer_id"] + frame["ago"].astype(str)), AS_OF
    )


def test_reasons_of_own_purchases() -> None:
    reasons = repeat_reasons(
        np.array([4.0, 1.0, 2.0, 1.0, 2.0]),
        np.array([133.0, 7.0, 2.0, 1.0, 1500.0]),
        np.array([40.0, 7.0, 1.0, 1.0, 1200.0]),
    )
    assert reasons.tolist() == [
        "bought 4 times, about every 31 days, last 40 days ago",
        "bought once, 7 days ago",
        "bought 2 times, about every day, last 1 day ago",
        "bought once, 1 day ago",
        "bought 2 times, about every 300 days, last 1,200 days ago",
    ]


def test_reasons_of_pairs() -> None:
    past = shop(
        ("a", "tea", 70),
        ("a", "tea", 40),
        ("b", "tea", 5),
        ("b", "cup", 5),
        ("c", "tea", 9),
        ("c", "cup", 9),
        ("c", "hat", 200),
        ("d", "hat", 200),
    )
    row, product = past.rows_of(["a", "a", "a", "d"]), past.columns_of(["tea", "cup", "hat", "cup"])
    similarity = ItemNeighbours("cosine").fit(past).similarity
    names = pd.Series({"tea": "Green tea"})
    assert Explainer(past, similarity, names).of(row, product).tolist() == [
        "bought 2 times, about every 30 days, last 40 days ago",
        "often bought by those who bought Green tea, as this customer did",
        "often bought by those who bought Green tea, as this customer did",
        "often bought by those who bought hat, as this customer did",
    ]
    assert Explainer(past).of(row, product).tolist()[1:3] == [
        "bought by 2 customers in the last 28 days",
        "sold before, but not in the last 28 days",
    ]
    assert Explainer(past, similarity).of(row[:0], product[:0]).tolist() == []


def test_reasons_against_pandas(lines: pd.DataFrame, past: Interactions) -> None:
    pairs = (
        lines[lines["day"] < pd.Timestamp(AS_OF)]
        .groupby(["customer_id", "product_id"])["day"]
        .agg(["nunique", "max"])
    )
    some = pairs.sample(40, random_state=0)
    row = past.rows_of(some.index.get_level_values(0).to_numpy(dtype=object))
    product = past.columns_of(some.index.get_level_values(1).to_numpy(dtype=object))
    for reason, (times, last) in zip(
        Explainer(past).of(row, product), some.itertuples(index=False), strict=True
    ):
        ago = (pd.Timestamp(AS_OF) - last).days
        assert reason.startswith("bought once" if times == 1 else f"bought {times} times")
        assert f"{ago} day" in reason


def cold_shop() -> tuple[Interactions, pd.DataFrame]:
    french = [(f"f{i}", "wine", 3) for i in range(300)]
    british = [(f"g{i}", "tea", 3) for i in range(900)]
    rare = [("m0", "lace", 3), ("old", "radio", 300)]
    past = shop(*french, *british, *rare)
    country = {"f": "France", "g": "UK", "m": "Malta", "o": "UK"}
    customers = pd.DataFrame(
        {"customer_id": past.customers, "country": [country[c[0]] for c in past.customers]}
    )
    return past, customers


def test_cold_customers_get_products_of_their_country_and_small_countries_those_of_the_shop() -> None:
    past, customers = cold_shop()
    scores = (
        ColdStart()
        .fit(past, customers)
        .score(pd.DataFrame({"country": ["France", "UK", "Malta", None, "Mars"]}))
    )
    best = past.products[scores.argmax(axis=1)]
    assert best.tolist() == ["wine", "tea", "tea", "tea", "tea"]
    lace, radio = past.columns_of(["lace", "radio"])
    assert scores[2, lace] > scores[0, lace] > 0
    assert (scores[:, radio] == 0).all()  # not sold for 300 days
    # A share: of n = 300 purchases in France and 200 of the shop's.
    wine = past.columns_of(["wine"])[0]
    assert scores[0, wine] == pytest.approx((300 + 200 * 300 / 1201) / 500)


def test_cold_customers_without_any_group() -> None:
    past, customers = cold_shop()
    scores = ColdStart().fit(past, customers[["customer_id"]]).score(pd.DataFrame(index=range(2)))
    assert past.products[scores.argmax(axis=1)].tolist() == ["tea", "tea"]
    with pytest.raises(ValueError, match="has 2 rows"):
        ColdStart().fit(past, pd.concat([customers, customers.head(1)]))


def test_segment_and_country_both_count() -> None:
    past, customers = cold_shop()
    segments = customers.assign(segment=np.where(customers["customer_id"] == "m0", "champions", "new"))
    cold = ColdStart(shrinkage=1).fit(past, segments)
    scores = cold.score(pd.DataFrame({"country": ["France"], "segment": ["champions"]}))[0]
    two = set(past.products[np.argsort(-scores)[:2]])
    assert "wine" in two
    only = (
        ColdStart(shrinkage=1, groups=("segment",))
        .fit(past, segments)
        .score(pd.DataFrame({"segment": ["champions"]}))[0]
    )
    lace = past.columns_of(["lace"])[0]
    assert only[lace] == pytest.approx((1 + 1 / 1201) / 2)


def test_similar_products_by_customers_and_by_name() -> None:
    others = [(f"c{i}", p, 5) for i in range(40) for p in ("cup", "saucer")]
    alone = [("x", "red mug", 5), ("y", "blue mug", 5), ("z", "gone mug", 300)]
    past = shop(*others, *alone)
    names = pd.DataFrame({"product_id": list(past.products), "name": list(past.products)})
    table = similar_products(past, names, 3)
    best = table[table["rank"] == 1].set_index("product_id")["similar_product_id"]
    assert best["cup"] == "saucer"
    assert best["red mug"] == "blue mug"  # no customer bought both, so the name decides
    assert best["gone mug"] == "blue mug"  # equal to red mug; the lower id
    assert "gone mug" not in set(table["similar_product_id"])
    assert (table["product_id"] != table["similar_product_id"]).all()
    cup = table[(table["product_id"] == "cup")].iloc[0]
    assert cup["score"] == pytest.approx(40 / 60)
    nameless = similar_products(past, names[["product_id"]], 3)
    assert set(nameless["product_id"]) == {"cup", "saucer"}


def test_similar_products_do_not_depend_on_row_order(lines: pd.DataFrame, names: pd.DataFrame) -> None:
    one = similar_products(interactions(lines, AS_OF), names, 5)
    two = similar_products(
        interactions(lines.sample(frac=1, random_state=5), AS_OF), names.sample(frac=1, random_state=5), 5
    )
    pd.testing.assert_frame_equal(one, two, rtol=1e-6)
    assert one.groupby("product_id").size().max() == 5


def test_similar_products_of_a_shop_with_one_product() -> None:
    past = interactions(
        pd.DataFrame(
            {
                "customer_id": ["a"],
                "product_id": ["x"],
                "day": [date(2024, 5, 1)],
                "quantity": 1,
                "order_id": "o",
            }
        ),
        AS_OF,
    )
    assert similar_products(past, pd.DataFrame({"product_id": ["x"], "name": ["x"]})).empty
