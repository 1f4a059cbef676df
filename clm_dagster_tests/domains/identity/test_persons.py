"""Persons in the tables that read customers: guests recognised, hubs, both clocks, unmerging, labels."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from clm_dagster.platform.dbt_project.building import build
from clm_dagster_tests.sql.fixtures import Raw, Rows, only, read_rows

AS_OF = "2024-02-05"


def joined(rows: Rows) -> dict[str, str]:
    return {row["customer_id"]: row["person_id"] for row in rows}


def identity(raw: Raw, customer: str, other: str, kind: str, since: str, **values: Any) -> None:
    """Add a statement of the shop, as loading would store it."""
    key = f"{kind}|{customer}|{other}|{since}"
    row = {
        "identity_key": key,
        "customer_id": customer,
        "other_id": other,
        "kind": kind,
        "known_since": since,
    }
    raw.add("identities", **(row | {"known_at": since} | values))


@pytest.fixture
def guest_signs_up(raw: Raw) -> Raw:
    """A guest orders twice with an address, then signs up with it and orders once more; ben is someone else."""
    raw.event(
        "purchase", "2024-01-02 10:00", None, email_hash="e1", unit_price="5", product_id="p2", country="FR"
    )
    raw.event("purchase", "2024-01-09 10:00", None, email_hash="e1", unit_price="7")
    raw.event("purchase", "2024-01-16 20:00", "anna", unit_price="11")
    raw.event("purchase", "2024-01-16 21:00", None, email_hash="e1", unit_price="1")
    raw.event("purchase", "2024-01-03 10:00", "ben")
    raw.event("purchase", "2024-01-03 10:00", None, order_id="nobody")
    raw.add("customers", customer_id="anna", signed_up_at="2024-01-16 19:00", email_hash="e1", country="DE")
    return raw


def test_a_guest_who_signs_up_later_is_one_customer(guest_signs_up: Raw) -> None:
    rows = guest_signs_up.rows("customer_features", AS_OF)
    names = (
        "customer_id",
        "order_days",
        "orders",
        "net_revenue",
        "first_order_date",
        "signed_up_date",
        "country",
    )
    assert only(rows, *names, "distinct_products", "previous_order_days") == [
        ("ben", 1, 1, Decimal(10), date(2024, 1, 3), None, None, 1, None),
        ("guest:email:e1", 3, 4, Decimal(24), date(2024, 1, 2), date(2024, 1, 16), "DE", 2, 27),
    ]


def test_a_guest_is_a_customer_before_they_sign_up(guest_signs_up: Raw) -> None:
    rows = guest_signs_up.rows("customer_features", "2024-01-15")
    assert only(rows, "customer_id", "orders") == [("ben", 1), ("guest:email:e1", 2)]
    assert guest_signs_up.rows("customer_identities", "2024-01-15") == []


def test_guests_are_nobody_where_the_setting_says_so(guest_signs_up: Raw) -> None:
    guest_signs_up.project.variables["identity_guests"] = ""
    try:
        rows = guest_signs_up.rows("customer_features", AS_OF)
    finally:
        guest_signs_up.project.variables["identity_guests"] = "email_hash,phone_hash"
    assert only(rows, "customer_id", "orders") == [("anna", 1), ("ben", 1)]


def test_the_evidence_of_a_join(guest_signs_up: Raw) -> None:
    anna, guest = guest_signs_up.rows("customer_identities", AS_OF)
    assert anna == {
        "as_of": datetime(2024, 2, 5),
        "customer_id": "anna",
        "person_id": "guest:email:e1",
        "first_seen_date": date(2024, 1, 16),
        "kind": "email_hash",
        "other_id": "e1",
        "through_customer_id": "guest:email:e1",
        "known_since": datetime(2024, 1, 16, 19),
    }
    assert (guest["through_customer_id"], guest["known_since"]) == ("anna", datetime(2024, 1, 16, 19))


@pytest.mark.parametrize(
    "nothing",
    ["d41d8cd98f00b204e9800998ecf8427e", "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"],
)
def test_the_hash_of_nothing_is_no_id(raw: Raw, nothing: str) -> None:
    raw.event("purchase", "2024-01-02 10:00", None, email_hash=nothing)
    raw.event("purchase", "2024-01-02 10:00", "anna", phone_hash=nothing)
    raw.event("purchase", "2024-01-02 10:00", "ben", phone_hash=nothing)
    assert raw.rows("customer_identities", AS_OF) == []
    assert only(raw.rows("customer_features", AS_OF), "customer_id") == [("anna",), ("ben",)]


def test_a_hub_joins_nobody(raw: Raw) -> None:
    for number in range(11):
        raw.event("visit", "2024-01-02 10:00", f"c{number:02d}", phone_hash="till")
        if number < 10:
            raw.event("visit", "2024-01-03 10:00", f"c{number:02d}", email_hash="shared")
    found = raw.rows("customer_identities", AS_OF)
    assert joined(found) == {f"c{number:02d}": "c00" for number in range(10)}
    assert {row["kind"] for row in found} == {"email_hash"}
    blocked = {
        row["kind"]: (row["blocked_by"], row["customers"]) for row in raw.rows("shared_identifiers", AS_OF)
    }
    assert blocked == {"phone_hash": ("hub", 11), "email_hash": (None, 10)}


# ------------------------------------------------------------------------------------ two clocks


@pytest.fixture
def unmerged(raw: Raw) -> Raw:
    """The shop says on 8 January that ann and anna are one, and on 22 January that they are not."""
    raw.event("purchase", "2024-01-02 10:00", "anna")
    raw.event("purchase", "2024-01-03 10:00", "ann")
    identity(raw, "ann", "anna", "customer_id", "2024-01-08 12:00")
    identity(raw, "ann", "anna", "customer_id", "2024-01-22 12:00", deleted=True)
    return raw


def test_a_deleted_statement_splits_from_its_instant_on(unmerged: Raw) -> None:
    persons = {
        as_of: joined(unmerged.rows("customer_identities", as_of))
        for as_of in ("2024-01-08", "2024-01-15", "2024-01-22", "2024-01-29")
    }
    together = {"ann": "anna", "anna": "anna"}
    assert persons == {"2024-01-08": {}, "2024-01-15": together, "2024-01-22": together, "2024-01-29": {}}
    orders = [only(unmerged.rows("customer_features", day), "customer_id", "orders") for day in persons]
    apart = [("ann", 1), ("anna", 1)]
    assert orders == [apart, [("anna", 2)], [("anna", 2)], apart]


def test_what_was_known_is_replayed_unchanged(raw: Raw) -> None:
    """A join and its correction that arrive late change no replay of the instants before them."""
    raw.event("purchase", "2024-01-02 10:00", "anna")
    raw.event("purchase", "2024-01-03 10:00", "ann")
    first, second, third = datetime(2024, 2, 1), datetime(2024, 2, 2), datetime(2024, 2, 3)

    def replay(known_at: datetime) -> tuple[Rows, Rows]:
        return tuple(  # type: ignore[return-value]
            raw.rows(model, "2024-01-15", known_at=known_at)
            for model in ("customer_identities", "customer_features")
        )

    nothing = replay(first)
    # Delivered on 2 February: they were one from 8 January on.
    identity(raw, "ann", "anna", "customer_id", "2024-01-08", known_at=second)
    merged = replay(second)
    assert (joined(nothing[0]), joined(merged[0])) == ({}, {"ann": "anna", "anna": "anna"})
    # Delivered on 3 February: that was never true.
    raw.connection.execute("update raw.identities set superseded_at = ?", [third])
    identity(raw, "ann", "anna", "customer_id", "2024-01-08", known_at=third, deleted=True)
    assert replay(first) == nothing
    assert replay(second) == merged
    assert replay(third) == nothing
    assert raw.rows("customer_identities", "2024-01-15") == []


# ------------------------------------------------------------------------------------ tables of persons


def test_an_order_under_a_later_alias_counts_as_coming_back(raw: Raw) -> None:
    """as_of is 8 January, the horizon ends on 7 April. ann is first seen in between, and joined in time or too late."""
    for person in ("anna", "bea", "cleo"):
        raw.event("purchase", "2024-01-02 10:00", person, phone_hash=f"of {person}")
    raw.event("purchase", "2024-02-02 10:00", "anna again", phone_hash="of anna", unit_price="30")
    raw.event("purchase", "2024-02-02 10:00", "bea again", unit_price="30")
    raw.event("visit", "2024-04-20 10:00", "bea again", phone_hash="of bea")
    # dora was a person of her own, and is found to be cleo: her order stays hers.
    raw.event("purchase", "2024-01-03 10:00", "dora")
    raw.event("purchase", "2024-02-02 10:00", "dora", phone_hash="of cleo", unit_price="30")
    raw.event("visit", "2024-05-30 10:00", "zoe")
    schema = "labels"
    end = datetime(2024, 5, 31).date()
    for as_of in ("2024-01-08", "2024-04-01", "2024-04-29"):
        built = build(
            raw.connection,
            raw.project,
            ["churn_labels", "value_labels"],
            schema,
            {},
            as_of=datetime.fromisoformat(as_of),
            end=end,
        )
    churned = raw.connection.execute(
        f"select customer_id, churned, next_order_date from {built['churn_labels']} "
        "where as_of = timestamp '2024-01-08' order by 1"
    )
    february = date(2024, 2, 2)
    assert churned == [("anna", 0, february), ("bea", 1, None), ("cleo", 1, None), ("dora", 0, february)]
    values = raw.connection.execute(
        f"select customer_id, orders, net_revenue::int from {built['value_labels']} "
        "where as_of = timestamp '2024-01-08' order by 1"
    )
    assert values == [("anna", 1, 30), ("bea", 0, 0), ("cleo", 0, 0), ("dora", 1, 30)]


def test_stages_cohorts_and_categories_know_persons(guest_signs_up: Raw) -> None:
    raw = guest_signs_up
    raw.add("products", product_id="p1", category="home")
    raw.add("products", product_id="p2", category="toys")
    stages = raw.rows("stage_states", AS_OF)
    assert only(stages, "customer_id", "stage", "run_days") == [
        ("ben", "new", 0),
        ("guest:email:e1", "growing", 14),
    ]
    shares = [
        (c, k, float(r))
        for c, k, r in only(
            raw.rows("customer_categories", AS_OF), "customer_id", "category", "gross_revenue"
        )
    ]
    assert shares == [("ben", "home", 10), ("guest:email:e1", "home", 19), ("guest:email:e1", "toys", 5)]
    survival = raw.rows("repurchase_survival", AS_OF)
    assert only(survival, "gap_days", "returns", "censored") == [(7, 2, 0), (19, 0, 1), (32, 0, 1)]
    cohorts = raw.rows("cohort_retention", AS_OF)
    assert only(cohorts, "months_since", "customers", "orders") == [(0, 2, 5)]


def test_a_merge_is_a_late_order_to_a_change_of_segment(guest_signs_up: Raw) -> None:
    """Between two snapshots, anna's orders become the guest's, which had some of its own in the week."""
    raw = guest_signs_up
    for as_of in ("2024-01-15", "2024-01-22"):
        built = build(
            raw.connection,
            raw.project,
            ["segment_moves", "customer_features"],
            "moves",
            {},
            as_of=datetime.fromisoformat(as_of),
        )
    moves = raw.connection.execute(f"select customer_id, order_days_between from {built['segment_moves']}")
    assert set(moves) <= {("guest:email:e1", 1), ("ben", 0)}
    features = read_rows(raw.connection, built["customer_features"])
    assert only(features, "as_of", "customer_id", "orders") == [
        (datetime(2024, 1, 15), "ben", 1),
        (datetime(2024, 1, 15), "guest:email:e1", 2),
        (datetime(2024, 1, 22), "ben", 1),
        (datetime(2024, 1, 22), "guest:email:e1", 4),
    ]
