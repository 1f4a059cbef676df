"""Files that are made of others before landing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.inbox import file_rows
from clm_dagster_tests.domains.ingest.shop import LATER, Shop
from clm_dagster_tests.domains.ingest.test_exports import EXPORTS, FIGURES

DATES = {"source": "olist", "start_date": "2016-09-01", "end_date": "2018-10-18"}


def deliver(shop: Shop, *names: str) -> None:
    for name in names:
        shutil.copy(EXPORTS / "olist" / f"olist_{name}_dataset.csv", shop.inbox)


def prepared(shop: Shop) -> list[Path]:
    return sorted((shop.source.landing.folder / "prepared").glob("*"))


def test_a_missing_part_is_named(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(**DATES)
    deliver(shop, "orders", "order_items")
    with pytest.raises(
        InputError, match=r"the one with customers is missing: expected \*customers_dataset\*"
    ):
        shop.land()


def test_a_part_without_a_column_is_refused(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(**DATES)
    deliver(shop, "orders", "order_items", "customers")
    shop.write("olist_customers_dataset.csv", "customer_id,city\nc1,franca\n")
    with pytest.raises(InputError, match="'customer_unique_id' is missing"):
        shop.land()


def test_every_file_is_said_to_be_read(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(**DATES)
    deliver(shop, "orders", "order_items", "customers")
    shop.write("notes.csv", "a\n1\n")
    shop.land()
    read = {row.source_file: row.status for row in file_rows(shop.source.landing)}
    assert read["notes.csv"] == "ignored"
    assert {name for name, status in read.items() if status == "read"} == {
        "olist_customers_dataset.csv",
        "olist_order_items_dataset.csv",
        "olist_orders_dataset.csv",
        "prepared/order_lines.parquet",
        "prepared/order_reviews.parquet",
    }


def test_a_file_is_prepared_again_only_if_a_part_changes(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(**DATES)
    deliver(shop, "orders", "order_items", "customers")
    shop.ingest()
    before = prepared(shop)
    (orders, *_) = shop.query(FIGURES)[0]
    assert shop.land(LATER).new == []
    assert prepared(shop) == before
    text = (shop.inbox / "olist_orders_dataset.csv").read_text()
    shop.write("olist_orders_dataset.csv", text.replace("canceled", "delivered"))
    shop.ingest(LATER)
    # The canceled order counts now, and the others as before.
    assert shop.query(FIGURES)[0][0] == orders + 1
    after = prepared(shop)
    assert len(after) == len(before)
    assert {path.name for path in after} != {path.name for path in before}
