"""Snapshots that one statement builds: the same rows as one statement for each."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clm_dagster.platform.dbt_project import building
from clm_dagster.platform.dbt_project.building import Snapshot, Snapshots, build, snapshot_slices
from clm_dagster.platform.dbt_project.project import SNAPSHOT
from clm_dagster_tests.sql.fixtures import Raw, read_rows

MODELS = (
    "margin_rates",
    "stage_states",
    "customer_identities",
    "shared_identifiers",
    "rfm_scores",
    "customer_features",
    "customer_categories",
    "repurchase_survival",
    "demand_keys",
)
# Neither weekly nor at equal distances; before the first event, on a day with events, and long after the last one.
AS_OFS = [
    datetime(2022, 12, 1),
    datetime(2023, 1, 3),
    datetime(2023, 1, 4),
    datetime(2023, 2, 6),
    datetime(2023, 2, 13),
    datetime(2023, 5, 1),
    datetime(2024, 1, 9),
    datetime(2024, 2, 29),
    datetime(2025, 8, 1),
]


def add_events(raw: Raw) -> None:
    """Add orders, returns, gifts, discounts, refunds and visits of customers and guests over a year."""
    first = datetime(2023, 1, 2, 9)
    for number in range(130):
        at = str(first + timedelta(days=number * 37 % 400, hours=number % 11))
        guest = number % 9 == 0
        values: dict[str, Any] = {
            "product_id": f"p{number * 7 % 12}",
            "quantity": number % 4 + 1,
            "unit_price": f"{number % 13}.35",
            "country": "DE" if number % 5 else None,
            "channel": "web" if number % 3 else "shop",
            "order_id": f"o{number}",
        }
        if number % 6 == 0:
            values["email_hash"] = f"e{number % 24}"
        if number % 10 == 0:
            values["device_id"] = f"d{number % 20}"
        raw.event("purchase", at, None if guest else f"c{number % 17:02d}", **values)
        if number % 8 == 0:
            raw.event(
                "return", str(datetime.fromisoformat(at) + timedelta(days=5)), f"c{number % 17:02d}", **values
            )
        if number % 12 == 0:
            raw.event("visit", at, f"c{number % 19:02d}")
    raw.event("discount", "2023-02-08 12:00", None, order_id="o1", line_amount="0.50")
    raw.event("refund", "2023-06-08 12:00", None, order_id="o2", line_amount="0.70")
    # The same product twice, under two ids of one person.
    raw.event("purchase", "2023-01-02 10:00", "c01", product_id="twice")
    raw.event("purchase", "2023-02-07 10:00", "c02", product_id="twice")
    # A correction and a line that arrive late.
    raw.event("purchase", "2023-01-03 10:00", "c03", event_id="fixed", superseded_at="2023-03-01")
    raw.event("purchase", "2023-01-03 10:00", "c03", event_id="fixed", known_at="2023-03-01", quantity=3)
    raw.event("purchase", "2023-01-05 10:00", "c04", event_id="late", known_at="2023-04-01")


def add_people(raw: Raw) -> None:
    """Add accounts with and without a sign-up time, statements that are taken back, and a catalogue."""
    accounts: list[dict[str, Any]] = [
        {"customer_id": "c01", "signed_up_at": "2023-01-03 12:00", "email_hash": "e0", "country": "FR"},
        {"customer_id": "c05", "email_hash": "e6", "country": "IT"},
        {"customer_id": "c06", "signed_up_at": "2023-02-06 00:00", "email_hash": "e6"},
        {"customer_id": "c07", "signed_up_at": "2024-02-28 23:59", "country": "ES", "device_id": "d0"},
        {"customer_id": "c08", "birth_year": 1980, "gender": "f", "device_id": "d10", "phone_hash": "t1"},
        {"customer_id": "c09", "birth_year": 1980, "gender": "F", "device_id": "d10", "phone_hash": "t1"},
        {"customer_id": "silent", "signed_up_at": "2023-02-10 08:00", "country": "NL"},
        {"customer_id": "undated", "country": "NL"},
    ]
    for account in accounts:
        raw.add("customers", **account)
    statements = [
        ("c01", "c02", "2023-01-03 12:00", False),
        ("c02", "c03", "2023-02-08 12:00", False),
        ("c01", "c02", "2023-12-01 12:00", True),
        ("silent", "c04", "2023-03-01 12:00", False),
    ]
    for customer, other, since, deleted in statements:
        raw.add(
            "identities",
            identity_key=f"{customer}|{other}|{since}",
            customer_id=customer,
            other_id=other,
            kind="customer_id",
            known_since=since,
            known_at="2022-01-01",
            deleted=deleted,
        )
    for number in range(12):
        category = None if number == 5 else f"k{number % 3}"
        raw.add("products", product_id=f"p{number}", category=category)


@pytest.fixture
def shop(raw: Raw) -> Raw:
    """A shop with everything that makes snapshots differ."""
    add_events(raw)
    add_people(raw)
    return raw


def built(raw: Raw, schema: str, as_ofs: list[datetime]) -> dict[str, str]:
    return build(
        raw.connection, raw.project, MODELS, schema, {}, as_of=as_ofs, start=datetime(2022, 12, 1).date()
    )


def differences(raw: Raw, ours: str, theirs: str) -> int:
    count = raw.connection.scalar(
        f"select (select count(*) from (from {ours} except all from {theirs})) "
        f"+ (select count(*) from (from {theirs} except all from {ours}))"
    )
    return int(count)


def test_these_are_all_snapshot_models(raw: Raw) -> None:
    assert {name for name, model in raw.project.models.items() if model.window == SNAPSHOT} == set(MODELS)


def test_a_list_has_the_rows_of_one_statement_for_each(shop: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = built(shop, "listed", AS_OFS)
    monkeypatch.setattr(building, "_ROWS_PER_STATEMENT", 0)
    alone = built(shop, "alone", AS_OFS)
    for model in MODELS:
        stored = {row["as_of"] for row in read_rows(shop.connection, listed[model])}
        assert len(stored) >= 4, (model, stored)
        assert differences(shop, listed[model], alone[model]) == 0, model
    # Persons, sign-ups without an event, and customers without an order are among them.
    persons = shop.connection.scalar("select count(distinct person_id) from listed.customer_identities")
    silent = shop.connection.scalar("select count(*) from listed.customer_features where order_days = 0")
    assert persons > 2 and silent > 2


def test_a_list_replaces_its_snapshots_and_no_other_one(shop: Raw) -> None:
    built(shop, "kept", AS_OFS)
    before = read_rows(shop.connection, "kept.customer_features")
    shop.event("purchase", "2023-01-02 11:00", "c10")
    built(shop, "kept", AS_OFS[3:5])
    after = read_rows(shop.connection, "kept.customer_features")
    changed = {row["as_of"] for row in before + after if (row in before) != (row in after)}
    assert changed == set(AS_OFS[3:5])


def test_statements_are_bounded_by_the_number_of_customers() -> None:
    assert snapshot_slices(AS_OFS, customers=100) == [Snapshots(tuple(AS_OFS))]
    halves = snapshot_slices(list(reversed(AS_OFS)), customers=100_000)
    assert halves == [Snapshots(tuple(AS_OFS[:5])), Snapshots(tuple(AS_OFS[5:]))]
    assert snapshot_slices(AS_OFS, customers=10**7) == [Snapshot(as_of) for as_of in AS_OFS]


@pytest.mark.parametrize("as_ofs", [(), (AS_OFS[1], AS_OFS[0]), (AS_OFS[0], AS_OFS[0])])
def test_snapshots_of_a_statement_are_in_order(as_ofs: tuple[datetime, ...]) -> None:
    with pytest.raises(ValueError, match="expected as_ofs in ascending order"):
        Snapshots(as_ofs)
