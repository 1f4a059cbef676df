"""What the contract and the adapters forbid: why, and the whole row, with file and row number."""

import json
from collections.abc import Callable

import pandas as pd
import pytest

from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, ONLINE_HEADER, Shop, csv_of, line

GOOD = [line(f"good{n}", f"2024-01-{n + 10} 10:00:00") for n in range(8)]
EVENTS = {
    "no_event_id": line(""),
    "unreadable_event_at": line(event_at="05.01.2024"),
    "outside_dates": line(event_at="2023-12-31 23:59:59"),
    "unknown_event_type": line(event_type="bought"),
    "no_order_id": line(order_id=""),
    "no_product_id": line(product_id=" "),
    "bad_quantity": line(quantity="0"),
    "bad_unit_price": line(unit_price="-0.01"),
    "unreadable_quantity": line(event_type="view", quantity="many"),
    "unreadable_unit_price": line(event_type="view", unit_price="1;5"),
    "amount_too_large": line(quantity="1000000000000", unit_price="1000"),
    "too_many_decimals": line(unit_price="0.12345678901"),
}
MONEY_HEADER = (
    "event_id,event_at,event_type,order_id,product_id,quantity,unit_price,line_amount,discount_amount,tax_amount,"
    "exchange_rate"
)
MONEY = {
    "bad_discount_amount": "e1,2024-01-05,purchase,o1,p1,1,5,5,-1,,",
    "bad_line_amount": "e2,2024-01-05,purchase,o1,p1,1,,-5,,,",
    "bad_exchange_rate": "e3,2024-01-05,purchase,o1,p1,1,5,5,,,0",
    "unreadable_line_amount": "e4,2024-01-05,purchase,o1,p1,1,5,five,,,",
    "unreadable_discount_amount": "e5,2024-01-05,purchase,o1,p1,1,5,5,one,,",
    "unreadable_tax_amount": "e6,2024-01-05,purchase,o1,p1,1,5,5,,one,",
    "unreadable_exchange_rate": "e7,2024-01-05,purchase,o1,p1,1,5,5,,,one",
}
MONEY_VARIANTS = [
    ("bad_line_amount", "e1,2024-01-05,purchase,o1,p1,1,5,,6,,"),
    ("bad_line_amount", "e2,2024-01-05,refund,o1,,,,-5,,,"),
    ("too_many_decimals", "e3,2024-01-05,purchase,o1,p1,1,5,5.00001,,,"),
    ("too_many_decimals", "e4,2024-01-05,purchase,o1,p1,1,5,5,0.00001,,"),
    ("too_many_decimals", "e5,2024-01-05,purchase,o1,p1,1,5,5,,0.00001,"),
    ("amount_too_large", "e6,2024-01-05,purchase,o1,p1,1,,1e11,,,"),
    ("amount_too_large", "e7,2024-01-05,purchase,o1,p1,1,5,5,1e12,,"),
    ("amount_too_large", "e8,2024-01-05,purchase,o1,p1,1,5,5,,-1e13,"),
    ("amount_too_large", "e9,2024-01-05,purchase,o1,p1,1,5,1e30,,,"),
]
VARIANTS = [
    ("unreadable_event_at", line(event_at="")),
    ("unreadable_event_at", line(event_at="2024-02-30 10:00:00")),
    ("unreadable_event_at", line(event_at="infinity")),
    ("unreadable_event_at", line(event_at="20240-01-05")),
    ("unreadable_event_at", line(event_at="2024-01-05 10:00 Atlantis/City")),
    ("outside_dates", line(event_at="epoch")),
    ("outside_dates", line(event_at="2024-03-01 00:00:00")),
    ("unknown_event_type", line(event_type="")),
    ("no_product_id", line(event_type="gift", product_id="")),
    ("no_product_id", line(event_type="return", product_id="", order_id="")),
    ("no_order_id", line(event_type="discount", order_id="")),
    ("no_order_id", line(event_type="refund", order_id="")),
    ("bad_quantity", line(quantity="")),
    ("bad_quantity", line(quantity="-2")),
    ("bad_quantity", line(event_type="tax", quantity="0")),
    ("bad_quantity", line(quantity="two")),
    ("bad_quantity", line(event_type="charge_refund", quantity="0")),
    ("bad_unit_price", line(unit_price="")),
    ("bad_unit_price", line(unit_price="free")),
    ("bad_unit_price", line(event_type="charge", unit_price="-1")),
    ("bad_unit_price", line(event_type="refund", unit_price="-1")),
    ("bad_unit_price", line(event_type="shipping", unit_price="")),
    ("amount_too_large", line(quantity="5901234123457", unit_price="34.90")),
    ("amount_too_large", line(quantity="5901234123457", unit_price="0.01")),
    ("amount_too_large", line(quantity="1e30")),
    ("amount_too_large", line(unit_price="1e19")),
    ("amount_too_large", line(quantity="1", unit_price="100000000000")),
    ("amount_too_large", line(event_type="tax", quantity="", unit_price="-100000000000")),
    ("too_many_decimals", line(quantity="2.00001")),
    ("too_many_decimals", line(unit_price="0.00000000001")),
    ("too_many_decimals", line(unit_price="1e-11")),
    ("too_many_decimals", line(unit_price="33.333333333333333333")),
]


def test_every_reason_of_events_with_the_whole_row(shop: Shop) -> None:
    rows = GOOD + list(EVENTS.values())
    shop.write("events.csv", csv_of(*rows))
    shop.ingest()
    assert shop.reasons() == dict.fromkeys(EVENTS, 1)
    assert shop.counts() == (len(rows), len(GOOD), len(EVENTS), 0)
    found = shop.query("select reason, source_file, source_row, source_columns from raw.rejects")
    for reason, file, number, content in found:
        assert file == "events.csv"
        assert number == rows.index(EVENTS[reason]) + 1
        assert ",".join(v or "" for v in json.loads(content).values()) == EVENTS[reason]
    listed = {reject.reason for reject in shop.contract["events"].rejects}
    # The others are tested below, and in test_keys and test_money.
    elsewhere = {"mangled_id", "conflicting_rows", "no_exchange_rate"}
    assert listed - set(EVENTS) == {*MONEY, *elsewhere, "unreadable_known_at", "unreadable_deleted"}


def test_variants_of_bad_values(shop: Shop) -> None:
    shop.write("events.csv", csv_of(*GOOD, *(row for _, row in VARIANTS)))
    shop.write("events_more.csv", csv_of(*(line(f"m{n}") for n in range(30))))
    shop.ingest()
    found = shop.query("select reason from raw.rejects order by source_row")
    assert [reason for (reason,) in found] == [reason for reason, _ in VARIANTS]


def test_reasons_of_money(shop: Shop) -> None:
    good = [f"good{n},2024-01-06,purchase,o1,p1,1,,5,0,1,1" for n in range(40)]
    cases = [*MONEY.items(), *MONEY_VARIANTS]
    shop.write("events.csv", csv_of(*good, *(row for _, row in cases), header=MONEY_HEADER))
    shop.ingest()
    found = shop.query("select reason from raw.rejects order by source_row")
    assert [reason for (reason,) in found] == [reason for reason, _ in cases]


def test_undated_rejects_have_no_day_and_others_theirs(shop: Shop) -> None:
    bad = [
        line(event_at="never"),
        line(event_at="1999-05-05"),
        line(event_at="99999-01-01"),
        line(quantity="0"),
    ]
    rows = [*GOOD, *bad]
    shop.write("events.csv", csv_of(*rows))
    shop.ingest()
    found = shop.query("select source_row, cast(event_date as varchar) from raw.rejects order by 1")
    assert found == [(9, None), (10, "1999-05-05"), (11, None), (12, "2024-01-05")]


def test_what_a_deleted_row_leaves_out_is_no_reason(shop: Shop) -> None:
    header = "event_id,event_at,event_type,quantity,unit_price,deleted,known_at"
    shop.write(
        "events.csv",
        csv_of(
            "e1,2024-01-05,,,,true,2024-01-07",
            "e2,2024-01-05,view,,,no,2024-01-07",
            "e3,2024-01-05,view,,,maybe,2024-01-07",
            "e4,2024-01-05,view,,,,soon",
            "e5,2024-01-05,view,,,1,infinity",
            header=header,
        ),
    )
    shop.ingest()
    assert shop.query("select event_id, deleted from raw.events order by 1") == [("e1", True), ("e2", False)]
    found = shop.query("select source_row, reason from raw.rejects order by 1")
    assert found == [(3, "unreadable_deleted"), (4, "unreadable_known_at"), (5, "unreadable_known_at")]


def test_guests_are_no_rejects(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1", customer_id=""), line("e2", customer_id="  ")))
    shop.ingest()
    assert shop.query("select customer_id from raw.events") == [(None,), (None,)]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "jsonl", "jsonl.gz"])
def test_file_and_row_number_in_every_format(shop: Shop, ending: str) -> None:
    for part in ("a", "b"):
        rows = [
            {
                "event_id": f"{part}{n}",
                "event_at": "2024-01-05",
                "event_type": "?" if n in (3, 70) else "view",
            }
            for n in range(1, 101)
        ]
        shop.write(f"events_{part}.{ending}", pd.DataFrame(rows))
    shop.ingest()
    found = shop.query(
        "select source_file, source_row, source_columns ->> 'event_id' from raw.rejects order by 1, 2"
    )
    assert found == [(f"events_{p}.{ending}", n, f"{p}{n}") for p in ("a", "b") for n in (3, 70)]


def test_repeats_are_duplicates_first_then_rejects(shop: Shop) -> None:
    bad, good = line("bad", quantity="0"), line("good")
    shop.write("events_1.csv", csv_of(good, bad, good, bad, bad))
    shop.write("events_2.csv", csv_of(bad, good))
    shop.ingest()
    assert shop.counts() == (7, 1, 1, 5)
    assert shop.query("select source_file, source_row from raw.rejects") in (
        [("events_1.csv", 2)],
        [("events_2.csv", 1)],
    )


def test_the_same_reject_in_other_formats_and_orders_of_columns_is_a_duplicate(shop: Shop) -> None:
    row = {"event_id": "e1", "event_at": "2024-01-05", "event_type": "?", "country": ""}
    shop.write("events_1.csv", pd.DataFrame([row]))
    shop.write("events_2.parquet", pd.DataFrame([row])[["event_type", "event_id", "event_at"]])
    shop.write("events_3.jsonl", pd.DataFrame([row]))
    shop.ingest()
    assert shop.counts() == (3, 0, 1, 2)


def test_a_reject_learnt_again_is_a_duplicate_and_rejects_of_other_reasons_are_not(shop: Shop) -> None:
    header = "event_id,event_at,event_type,known_at"
    shop.write("events_1.csv", csv_of("e1,2024-01-05,?,2024-01-06", header=header))
    shop.write(
        "events_2.csv", csv_of("e1,2024-01-05,?,2024-01-07", "e1,2024-01-05,!,2024-01-07", header=header)
    )
    shop.ingest()
    assert shop.counts() == (3, 0, 2, 1)


def test_the_ledger_is_replaced_never_added_twice(shop: Shop) -> None:
    shop.write("events.csv", csv_of(*GOOD, *EVENTS.values()))
    shop.ingest()
    before = [shop.table(name) for name in ("raw.deliveries", "raw.rejects", "raw.events", "raw.builds")]
    for _ in range(2):
        shop.load(keys=shop.all_keys())
        shop.load(keys=["2024-01-05"])
    assert [shop.table(n) for n in ("raw.deliveries", "raw.rejects", "raw.events", "raw.builds")] == before


ONLINE = {
    "no_invoice": ",85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "no_stock_code": "536365, ,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "negative_quantity": "536365,85123A,HOLDER,-6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "positive_quantity_on_cancellation": "C536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,France",
    "negative_price": "A536365,B,Adjust bad debt,1,2010-12-01 08:26:00,-11062.06,,United Kingdom",
    "unreadable_event_at": "536365,85123A,HOLDER,6,in Dec 2010,2.55,17850.0,United Kingdom",
    "outside_dates": "536365,85123A,HOLDER,6,2009-11-30 23:59:59,2.55,17850.0,United Kingdom",
    "bad_quantity": "536365,85123A,HOLDER,1.5,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "bad_unit_price": "536365,85123A,HOLDER,6,2010-12-01 08:26:00,?,17850.0,United Kingdom",
}
KINDS = {
    "purchase": "536365,85123a ,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "gift": "536366,DCGS0003,BOX,1,2010-12-01 08:27:00,0.0,,United Kingdom",
    "charge": "536370,POST,POSTAGE,3,2010-12-01 08:45:00,18.0,12583.0,France",
    "return": "C536379,SP1002,KIT,-1,2010-12-01 09:41:00,27.5,14527.0,United Kingdom",
    "charge_refund": "c536380,M,Manual,-2,2010-12-01 09:42:00,1.25,14527,EIRE",
}
MORE = [f"5400{n:02},PADS,PADS,1,2010-12-02 09:00:00,0.001,{n}.0,France" for n in range(20)]


def test_online_retail_rules_and_reasons(online_shop: Shop) -> None:
    shop = online_shop
    rows = [*KINDS.values(), *MORE, *ONLINE.values()]
    shop.write("online_retail_II.csv", csv_of(*rows, header=ONLINE_HEADER))
    shop.ingest()
    assert shop.reasons() == dict.fromkeys(ONLINE, 1)
    for reason, number, content in shop.query("select reason, source_row, source_columns from raw.rejects"):
        assert number == rows.index(ONLINE[reason]) + 1
        assert ",".join(v or "" for v in json.loads(content).values()) == ONLINE[reason]
    found = {
        row[0]: row[1:]
        for row in shop.query(
            "select event_type, order_id, product_id, quantity, line_amount::varchar, customer_id, country, "
            "description from raw.events where event_at < '2010-12-02'"
        )
    }
    assert found == {
        "purchase": ("536365", "85123A", 6, "15.3000", "17850", "United Kingdom", "HOLDER"),
        "gift": ("536366", "DCGS0003", 1, "0.0000", None, "United Kingdom", "BOX"),
        "charge": ("536370", "POST", 3, "54.0000", "12583", "France", "POSTAGE"),
        "return": ("C536379", "SP1002", 1, "27.5000", "14527", "United Kingdom", "KIT"),
        "charge_refund": ("c536380", "M", 2, "2.5000", "14527", "EIRE", "Manual"),
    }


def test_online_retail_keeps_a_customer_it_cannot_read_as_a_number(online_shop: Shop) -> None:
    odd = "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,%s,France"
    online_shop.write("x.csv", csv_of(*MORE, odd % "K-17", odd % "inf", odd % "12.50", header=ONLINE_HEADER))
    online_shop.ingest()
    found = online_shop.query("select customer_id from raw.events where product_id = '85123A' order by 1")
    assert found == [("12.50",), ("K-17",), ("inf",)]


def test_online_retail_rows_alike_in_all_columns_are_one_event(online_shop: Shop) -> None:
    row, shown = KINDS["purchase"], KINDS["purchase"].replace("HOLDER", "")
    online_shop.write("x.csv", csv_of(row, row, shown, header=ONLINE_HEADER))
    online_shop.ingest()
    assert online_shop.counts() == (3, 2, 0, 1)


# Good rows go first and outnumber the bad ones: a file of which most values are unreadable is refused whole.
TABLES: dict[str, tuple[str, str, dict[str, str]]] = {
    "customers": (
        "customer_id,signed_up_at,country,birth_year,gender,consent_marketing",
        "c%d,2024-01-0%d 10:00:00,DE,198%d,f,yes",
        {
            "no_customer_id": ",2024-01-05,DE,1980,f,yes",
            "unreadable_signed_up_at": "x1,last year,DE,1980,f,yes",
            "unreadable_birth_year": "x2,2024-01-05,DE,1980.5,f,yes",
            "unreadable_consent_marketing": "x3,2024-01-05,DE,1980,f,perhaps",
        },
    ),
    "products": (
        "product_id,name,category,list_price,unit_cost",
        "p%d,Mug %d,kitchen,9.9%d,4",
        {
            "no_product_id": ",Mug,kitchen,9.99,4",
            "bad_list_price": "x1,Mug,kitchen,-1,4",
            "bad_unit_cost": "x2,Mug,kitchen,9.99,-4",
            "unreadable_list_price": "x3,Mug,kitchen,9.99 or so,4",
            "unreadable_unit_cost": "x4,Mug,kitchen,9.99,cheap",
        },
    ),
    "promotions": (
        "promotion_id,product_id,starts_at,ends_at,discount",
        "r%d,p%d,2024-01-01,2024-02-01,0.%d",
        {
            "no_promotion_id": ",p1,2024-01-01,2024-02-01,0.1",
            "bad_dates": "x1,p1,2024-02-01,2024-02-01,0.1",
            "bad_discount": "x2,p1,2024-01-01,2024-02-01,1.1",
        },
    ),
    "touches": (
        "touch_id,customer_id,sent_at,campaign_id,cost,opened_at,clicked_at",
        "t%d,c%d,2024-01-0%d 08:00:00,k1,0.01,2024-01-08,",
        {
            "no_touch_id": ",c1,2024-01-05,k1,0.01,,",
            "unreadable_sent_at": "x1,c1,someday,k1,0.01,,",
            "outside_dates": "x2,c1,2024-03-01,k1,0.01,,",
            "no_customer_id": "x3,,2024-01-05,k1,0.01,,",
            "unreadable_cost": "x4,c1,2024-01-05,k1,free,,",
            "unreadable_opened_at": "x5,c1,2024-01-05,k1,0.01,later,",
            "unreadable_clicked_at": "x6,c1,2024-01-05,k1,0.01,,2024-13-01",
        },
    ),
    "reviews": (
        "review_id,customer_id,product_id,written_at,rating,text",
        'v%d,c%d,p1,2024-01-0%d 08:00:00,4.5,"Good, ""very"" good\nindeed"',
        {
            "no_review_id": ",c1,p1,2024-01-05,3,x",
            "unreadable_written_at": "x1,c1,p1,yesterday,3,x",
            "outside_dates": "x2,c1,p1,2023-01-05,3,x",
            "bad_rating": "x3,c1,p1,2024-01-05,6,x",
            "unreadable_rating": "x4,c1,p1,2024-01-05,great,x",
        },
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_every_reason_of_the_other_tables(shop: Shop, table: str) -> None:
    header, good, bad = TABLES[table]
    rows = [good.replace("%d", str(n)) for n in range(1, 10)] + list(bad.values())
    # Two rows with one id, of two days where the table has days.
    rows += ["twin," + row.partition(",")[2] for row in rows[:2]]
    shop.write("events.csv", csv_of(line("e1")))
    shop.write(f"{table}.csv", csv_of(*rows, header=header))
    shop.ingest(tables=["events", table])
    assert shop.reasons(table) == dict.fromkeys(bad, 1) | {"conflicting_rows": 2}
    assert shop.counts(table) == (len(rows), 9, len(bad) + 2, 0)
    rejects = shop.query("select reason, source_row, source_columns from raw.rejects order by source_row")
    assert [row[:2] for row in rejects[-2:]] == [("conflicting_rows", len(rows) - n) for n in (1, 0)]
    for reason, number, content in rejects[:-2]:
        assert number == rows.index(bad[reason]) + 1
        assert ",".join(v or "" for v in json.loads(content).values()) == bad[reason]
    listed = {reject.reason for reject in shop.contract[table].rejects}
    implied = {"unreadable_known_at", "unreadable_deleted", "mangled_id", "conflicting_rows"}
    covered = (
        {f"unreadable_{c}" for c in ("starts_at", "ends_at", "discount")} if table == "promotions" else set()
    )
    assert listed - set(bad) == implied | covered


def test_values_of_the_other_tables_are_typed(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    for table, (header, good, _) in TABLES.items():
        shop.write(f"{table}/part.csv", csv_of(good.replace("%d", "1"), header=header))
    shop.ingest(tables=list(shop.contract))
    customer = "select customer_id, signed_up_at::varchar, birth_year, consent_marketing from raw.customers"
    assert shop.query(customer) == [("c1", "2024-01-01 10:00:00", 1981, True)]
    assert shop.query("select list_price::varchar from raw.products") == [("9.9100",)]
    assert shop.query("select rating, text from raw.reviews") == [(4.5, 'Good, "very" good\nindeed')]
    assert shop.query("select discount, ends_at::varchar from raw.promotions") == [
        (0.1, "2024-02-01 00:00:00")
    ]
    touch = "select cost::varchar, opened_at::varchar, clicked_at, known_at = sent_at from raw.touches"
    assert shop.query(touch) == [("0.0100", "2024-01-08 00:00:00", None, True)]
    # A first load says nothing of when an entity was learnt: it was there from the shop's first day.
    assert shop.query("select known_at::varchar from raw.customers") == [("2024-01-01 00:00:00",)]


def test_entities_have_versions_too(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    header = "customer_id,country"
    shop.write("customers_1.csv", csv_of("c1,DE", "c2,FR", header=header))
    shop.ingest(FIRST, ["customers"])
    shop.write("customers_2.csv", csv_of("c1,NL", "c2,FR", "c3,ES", header=header))
    shop.ingest(LATER, ["customers"])
    later = str(LATER)
    found = shop.query(
        "select customer_id, country, known_at::varchar, superseded_at::varchar from raw.customers order by 1, 3"
    )
    assert found == [
        ("c1", "DE", "2024-01-01 00:00:00", later),
        ("c1", "NL", later, None),
        ("c2", "FR", "2024-01-01 00:00:00", None),
        ("c3", "ES", later, None),
    ]
    assert shop.counts("customers") == (5, 4, 0, 1)


def test_a_table_that_a_source_has_not_is_empty_and_not_pending(
    online_shop: Shop, make_shop: Callable[..., Shop]
) -> None:
    online_shop.write("x.csv", csv_of(*MORE, header=ONLINE_HEADER))
    online_shop.ingest(tables=list(online_shop.contract))
    assert online_shop.query("select count(*) from raw.customers") == [(0,)]
    shop = make_shop("other")
    shop.write("events.csv", csv_of(line("e1")))
    shop.ingest(tables=list(shop.contract))
    assert shop.query("select count(*) from raw.reviews") == [(0,)]
