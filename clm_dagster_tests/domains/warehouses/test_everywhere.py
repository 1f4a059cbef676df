"""What every database does alike: a real PostgreSQL, and emulators of Snowflake and BigQuery."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from clm_dagster_tests.domains.warehouses.conftest import PLANS, SCORES, VIEW, PublishedShop, day

KINDS = ("postgresql", "snowflake", "bigquery")
GENERATIONS = (
    "select cast(as_of as date), min(generation), max(generation), count(*) from {churn_scores} "
    "group by 1 order by 1"
)


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, make_published: Callable[..., PublishedShop]) -> PublishedShop:
    return make_published(request.param)


def weeks(shop: PublishedShop) -> dict[str, tuple[int, int]]:
    """Generation and rows of each week; a week with two generations is half a week."""
    found = {}
    for as_of, first, last, count in shop.query(GENERATIONS):
        assert first == last
        found[str(as_of)] = (int(first), int(count))
    return found


def test_only_changed_weeks_are_sent(shop: PublishedShop) -> None:
    shop.scores({0: 1, 1: 1, 2: 1})
    assert shop.changes(shop.publish()) == [("churn_scores", "new", 3, 9)]
    assert weeks(shop) == {day(0): (1, 3), day(1): (1, 3), day(2): (1, 3)}
    again = shop.publish()
    assert (again.tables, again.unchanged) == ([], 1)

    shop.scores({1: 2})
    shop.forget(SCORES, 0)
    shop.scores({3: 1})
    assert shop.changes(shop.preview()) == [("churn_scores", "changed", 3, 6)]
    assert weeks(shop)[day(1)] == (1, 3)  # a preview changes nothing
    assert shop.changes(shop.publish()) == [("churn_scores", "changed", 3, 6)]
    assert weeks(shop) == {day(1): (2, 3), day(2): (1, 3), day(3): (1, 3)}
    assert shop.publish().tables == []
    assert shop.changes(shop.publish(full=True)) == [("churn_scores", "changed", 3, 9)]
    assert weeks(shop) == {day(1): (2, 3), day(2): (1, 3), day(3): (1, 3)}


def test_values_arrive_as_they_are(shop: PublishedShop) -> None:
    shop.sql(
        f"""create table {PLANS} as select * from (values
            (1, 12345678.0001::decimal(18, 4), 'Zoë "x", \\N', date '2024-02-29',
             timestamp '2024-03-31 02:30:00.123456', true, 0.1::double, 9007199254740993::bigint),
            (2, null, null, null, null, null, null, null),
            (3, -0.0001::decimal(18, 4), '', date '1999-12-31', timestamp '1999-12-31 23:59:59', false, 1e300, -1),
            (4, 0, e'a\\nb\\\\c''d', null, null, null, null, 0)
        ) as t(id, price, note, day, seen, done, share, big)"""
    )
    shop.publish()
    found = shop.query(
        "select id, price, note, cast(day as {text}), cast(seen as {text}), done, share, big "
        "from {campaign_plans} order by 1",
        text="string" if _is_bigquery(shop) else "varchar",
    )
    rows = [
        (int(i), p, n, d, _time(a), b, s, int(g) if g is not None else None)
        for i, p, n, d, a, b, s, g in found
    ]
    assert rows == [
        (
            1,
            Decimal("12345678.0001"),
            'Zoë "x", \\N',
            "2024-02-29",
            "2024-03-31 02:30:00.123456",
            True,
            0.1,
            9007199254740993,
        ),
        (2, None, None, None, None, None, None, None),
        (3, Decimal("-0.0001"), "", "1999-12-31", "1999-12-31 23:59:59", False, 1e300, -1),
        (4, Decimal("0"), "a\nb\\c'd", None, None, None, None, 0),
    ]


def test_new_columns_and_wider_decimals(shop: PublishedShop) -> None:
    shop.sql(f"create table {PLANS} as select 1 as id, 1.5::decimal(6, 2) as price, 'x' as old")
    shop.publish()
    shop.sql(
        f"create or replace table {PLANS} as select 1 as id, 12345678.125::decimal(18, 3) as price, "
        "date '2024-01-01' as added, ['a', 'b'] as list"
    )
    assert shop.changes(shop.publish()) == [("campaign_plans", "other columns", 1, 1)]
    ((identity, price, added),) = shop.query("select id, price, added from {campaign_plans}")
    assert (int(identity), price, str(added)[:10]) == (1, Decimal("12345678.125"), "2024-01-01")
    assert shop.publish().tables == []
    shop.sql(f"delete from {PLANS}")
    shop.publish()
    assert [int(n) for (n,) in shop.query("select count(*) from {campaign_plans}")] == [0]


def test_tables_that_are_not_selected_any_more_are_dropped(shop: PublishedShop) -> None:
    shop.scores({0: 1})
    shop.sql(f"create table {PLANS} as select 1 as id")
    shop.publish()
    shop.settings = shop.settings.replace(publish_tables=f"{SCORES},{VIEW}")
    assert ("campaign_plans", "dropped", 1, 0) in shop.changes(shop.publish())
    assert shop.publish().tables == []
    # Built no more, but selected: empty.
    shop.sql(f"drop table {SCORES}", "delete from raw.builds")
    assert shop.changes(shop.publish()) == [("churn_scores", "removed", 1, 0)]
    assert weeks(shop) == {}


def _is_bigquery(shop: PublishedShop) -> bool:
    return "BigQuery" in shop.preview().title


def _time(text: str | None) -> str | None:
    """A time as text, without zeros at its end: databases write it with and without."""
    if text is None:
        return None
    return text.rstrip("0").rstrip(".") if "." in text else text
