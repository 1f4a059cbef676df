"""Money of events: amounts that do not fit, fine prices, currencies, refunds without a product."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, LATEST, Shop, csv_of, line

MONEY = "event_id,event_at,event_type,order_id,product_id,quantity,unit_price,line_amount,discount_amount"
CURRENCIES = "event_id,event_at,customer_id,event_type,order_id,product_id,quantity,unit_price,currency"
RATES = "day,currency,rate"


def amounts(shop: Shop) -> list[tuple[str, str | None]]:
    return shop.query(
        "select event_id, line_amount::varchar from raw.events where superseded_at is null order by event_id"
    )


@pytest.mark.parametrize(
    ("quantity", "price"), [("5901234123457", "34.90"), ("1000000000000", "1000"), ("1", "1e11")]
)
def test_an_amount_that_does_not_fit_rejects_its_row_only(shop: Shop, quantity: str, price: str) -> None:
    shop.write("events.csv", csv_of(line("e1"), line("e2", quantity=quantity, unit_price=price)))
    shop.ingest()
    assert amounts(shop) == [("e1", "3.0000")]
    assert shop.reasons() == {"amount_too_large": 1}


def test_prices_keep_their_decimals(shop: Shop) -> None:
    fine = line("e1", quantity="1000000", unit_price="0.00004")
    kilograms = line("e2", quantity="0.3755", unit_price="19.90")
    binary = line("e3", quantity="1", unit_price="26.991000000000003")
    shop.write("events.csv", csv_of(fine, kilograms, binary))
    shop.ingest()
    assert amounts(shop) == [("e1", "40.0000"), ("e2", "7.4725"), ("e3", "26.9910")]


def test_what_a_line_cost_is_kept_and_the_price_derived(shop: Shop) -> None:
    rows = [
        "e1,2024-01-05,purchase,o1,p1,3,,29.00,",
        "e2,2024-01-05,purchase,o2,p1,7,,10.00,4.00",
        "e3,2024-01-05,purchase,o2,p1,3,9.6667,29.00,",
        "e4,2024-01-05,purchase,o2,p1,2,10.00,,0.5",
        "e5,2024-01-05,shipping,o2,,,-4.90,,",
        "e6,2024-01-05,tax,,,,,-1.10,",
        "e7,2024-01-05,purchase,o2,p1,1,,12345678901.1234,",
    ]
    shop.write("events.csv", csv_of(*rows, header=MONEY))
    shop.ingest()
    found = shop.query("select event_id, line_amount, unit_price, quantity from raw.events order by 1")
    third = Decimal("29") / 3
    assert [(i, a, round(p, 10), q) for i, a, p, q in found] == [
        ("e1", 29, round(third, 10), 3),
        ("e2", 10, 2, 7),
        ("e3", 29, Decimal("9.6667"), 3),
        ("e4", Decimal("19.5"), 10, 2),
        ("e5", Decimal("-4.9"), Decimal("-4.9"), 1),
        ("e6", Decimal("-1.1"), Decimal("-1.1"), 1),
        ("e7", Decimal("12345678901.1234"), Decimal("12345678901.1234"), 1),
    ]


def test_a_return_without_a_product_is_a_refund_of_its_order(shop: Shop) -> None:
    header = "event_id,event_at,event_type,customer_id,order_id,product_id,quantity,unit_price"
    shop.write(
        "events.csv",
        csv_of(
            "e1,2024-01-01 10:00:00,purchase,a,O1,P1,1,100.00",
            "e2,2024-01-05 10:00:00,return,a,O1,,1,30.00",
            header=header,
        ),
    )
    shop.ingest()
    found = shop.query(
        "select event_type, order_id, event_at::date::varchar, line_amount::int from raw.events"
    )
    assert sorted(found) == [("purchase", "O1", "2024-01-01", 100), ("refund", "O1", "2024-01-05", 30)]


USD = "e1,2024-01-05 10:00:00,a,purchase,O1,P1,1,100.00,USD"
INR = "e2,2024-01-06 10:00:00,a,purchase,O2,P1,1,8319.00,inr "


def test_several_currencies_without_the_shop_s_own_are_refused(shop: Shop) -> None:
    shop.write("events.csv", csv_of(USD, INR, header=CURRENCIES))
    shop.land()
    with pytest.raises(InputError, match=r"INR \(1 rows\), USD \(1 rows\).*CLM_CURRENCY"):
        shop.load()
    assert shop.query("select count(*) from raw.events") == [(0,)]


def test_a_second_currency_on_another_day_is_refused_while_the_first_is_current(shop: Shop) -> None:
    """The days are loaded apart; a day that no longer has its currency does not count."""
    shop.write("events_1.csv", csv_of(USD, header=CURRENCIES))
    shop.ingest()
    shop.write("events_2.csv", csv_of(INR, header=CURRENCIES))
    shop.land(LATER)
    with pytest.raises(InputError, match=r"INR \(1 rows\), USD \(1 rows\)"):
        shop.load(keys=["2024-01-06"])
    assert shop.query("select event_date::varchar, currency, row_count from raw.currencies") == [
        ("2024-01-05", "USD", 1)
    ]
    moved = USD.replace("01-05", "01-07").replace("USD", "INR")
    shop.write("events_3.csv", csv_of(moved, header=CURRENCIES))
    shop.land(LATEST)
    shop.load(keys=["2024-01-07"])
    shop.ingest(LATEST)
    found = shop.query("select event_date::varchar, currency, row_count from raw.currencies order by 1")
    assert found == [("2024-01-06", "INR", 1), ("2024-01-07", "INR", 1)]


def test_one_currency_beside_none_needs_no_setting(shop: Shop) -> None:
    shop.write("events.csv", csv_of(USD, INR.replace("inr ", ""), header=CURRENCIES))
    shop.ingest()
    assert shop.query("select distinct exchange_rate::int from raw.events") == [(1,)]


def test_other_currencies_are_converted_at_the_rate_of_their_day_or_rejected(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop(currency="usd")
    late = INR.replace("e2", "e3").replace("01-06", "01-07")
    shop.write("events.csv", csv_of(USD, INR, late, header=CURRENCIES))
    shop.write("exchange_rates.csv", csv_of("2024-01-06,Inr,0.012", header=RATES))
    shop.ingest(tables=("events", "exchange_rates"))
    found = shop.query(
        "select event_id, line_amount::double, exchange_rate::double from raw.events order by 1"
    )
    assert found == [("e1", 100, 1), ("e2", 8319, 0.012)]
    assert shop.reasons() == {"no_exchange_rate": 1}
    shop.write("exchange_rates_2.csv", csv_of("2024-01-06,INR,0.013", "2024-01-07,INR,0.5", header=RATES))
    shop.land(LATER)
    assert shop.pending("events") == ["2024-01-06", "2024-01-07"]
    shop.ingest(LATER, tables=("events", "exchange_rates"))
    found = shop.query("select event_id, exchange_rate::double from raw.events order by 1")
    assert found == [("e1", 1), ("e2", 0.013), ("e3", 0.5)]
    assert shop.reasons() == {}


def test_the_order_of_loading_rates_and_events_does_not_matter(make_shop: Callable[..., Shop]) -> None:
    tables = []
    for name, order in (("one", ("events", "exchange_rates")), ("two", ("exchange_rates", "events"))):
        shop = make_shop(name, currency="EUR")
        shop.write("events.csv", csv_of(USD, INR, header=CURRENCIES))
        shop.write("exchange_rates.csv", csv_of("2024-01-05,USD,0.9", header=RATES))
        shop.ingest(FIRST, tables=order)
        tables.append([shop.table("raw.events"), shop.reasons(), shop.table("raw.exchange_rates")])
    assert tables[0] == tables[1]
