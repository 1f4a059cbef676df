"""Statements of a shop about who is who, and ids on events and customers, from files to the raw tables."""

from datetime import datetime

from clm_dagster_tests.domains.ingest.shop import LATER, Shop, csv_of, line

BOTH = ("events", "identities")
HEADER = "customer_id,other_id,kind,known_since,deleted"


def test_statements_are_loaded_with_their_key(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    shop.write(
        "identities.csv",
        csv_of(
            "c1,c2,Customer_ID,2024-01-05 10:00,",
            "c1,c2,customer_id,2024-01-20 10:00,true",
            "12.0,t1,phone_hash,2024-01-05,",
            ",t1,phone_hash,2024-01-05,",
            "c1,,phone_hash,2024-01-05,",
            "c1,t1,,2024-01-05,",
            "c1,t1,phone_hash,soon,",
            "c1,t1,phone_hash,2023-12-31,",
            header=HEADER,
        ),
    )
    shop.ingest(tables=BOTH)
    found = shop.query(
        "select customer_id, other_id, kind, known_since, deleted, known_at, superseded_at from raw.identities "
        "order by known_since, customer_id"
    )
    first, last = datetime(2024, 1, 5, 10), datetime(2024, 1, 20, 10)
    day = datetime(2024, 1, 5)
    assert found == [
        ("12", "t1", "phone_hash", day, False, day, None),
        ("c1", "c2", "customer_id", first, False, first, None),
        ("c1", "c2", "customer_id", last, True, last, None),
    ]
    assert shop.query("select count(distinct identity_key) from raw.identities") == [(3,)]
    assert shop.reasons("identities") == {
        "no_customer_id": 1,
        "no_other_id": 1,
        "no_kind": 1,
        "unreadable_known_since": 1,
        "outside_dates": 1,
    }


def test_a_correction_replaces_a_statement_with_the_same_instant(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    shop.write("identities.csv", csv_of("c1,c2,customer_id,2024-01-05,", header=HEADER))
    shop.ingest(tables=BOTH)
    shop.write("identities_2.csv", csv_of("c1,c2,customer_id,2024-01-05,true", header=HEADER))
    shop.ingest(LATER, tables=BOTH)
    found = shop.query("select deleted, known_at, superseded_at from raw.identities order by known_at")
    assert found == [(False, datetime(2024, 1, 5), LATER), (True, LATER, None)]


def test_ids_on_events_and_customers_are_optional(shop: Shop) -> None:
    header = "event_id,event_at,event_type,email_hash,device_id"
    shop.write("events.csv", csv_of("e1,2024-01-05,visit,h1,d1", "e2,2024-01-05,visit,,", header=header))
    shop.write("customers.csv", csv_of("c1,t1", header="customer_id,phone_hash"))
    shop.ingest(tables=("events", "customers"))
    assert shop.query("select email_hash, phone_hash, device_id from raw.events order by event_id") == [
        ("h1", None, "d1"),
        (None, None, None),
    ]
    assert shop.query("select email_hash, phone_hash, device_id from raw.customers") == [(None, "t1", None)]
