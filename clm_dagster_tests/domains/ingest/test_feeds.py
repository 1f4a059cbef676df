"""Feeds: one landed row may be several facts, none is lost, and none is made up."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.loading import create_tables
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, LATEST, Shop, csv_of, line

# An order with its lines; a refund is a column of the order, with a date of its own.
YAML = """
tables:
  events:
    files: ["*.csv"]
    feeds:
      lines:
        time: "{{ instant('at') }}"
        columns: {order: varchar, at: timestamp, sku: varchar, qty: bigint, price: varchar}
        skips: {test_order: the order is a test}
        rejects: {negative: the price is below zero}
      refunds:
        time: "{{ instant('refunded_at') }}"
        required: [order, refunded_at, refund]
        skips: {no_refund: nothing was refunded}
"""
SQL = {
    "lines": """
        select {{ provenance() }}, {{ row_id('order', 'sku', 'qty', 'price') }} as event_id,
            {{ time() }} as event_at, 'purchase' as event_type, "order" as order_id, sku as product_id,
            {{ whole('qty') }} as quantity, price as unit_price,
            case when try_cast(price as double) < 0 then 'negative' end as reject_reason,
            case when sku = 'test' then 'test_order' end as skip_reason
        from {{ landed() }}
    """,
    "refunds": """
        select {{ provenance() }}, {{ row_id('order', 'sku', 'qty', 'price') }} as event_id,
            {{ time() }} as event_at, 'charge_refund' as event_type, "order" as order_id,
            1 as quantity, refund as unit_price,
            case when refund is null then 'no_refund' end as skip_reason
        from {{ landed() }}
    """,
}
HEADER = "order,at,sku,qty,price,refunded_at,refund"
LINES = [
    "o1,2024-01-05,mask,2,10,2024-01-20,4.5",
    "o1,2024-01-05,mask,2,10,,",  # equal to the line above: two lines
    "o2,2024-01-06,cream,1,-3,,",
    "o3,2024-01-06,test,1,3,,",
]
Feeds = Callable[..., Shop]


def adapter(folder: Path, yaml: str, sql: Mapping[str, str]) -> Path:
    """Copy the SQL project into a folder, with an adapter `mine`."""
    target = folder / "sql"
    if not target.exists():
        ignored = shutil.ignore_patterns("target", "dbt_packages")
        shutil.copytree(PROJECT_DIR / "dbt_like_sql", target, ignore=ignored)
    mine = target / "adapters" / "mine"
    shutil.rmtree(mine, ignore_errors=True)
    mine.mkdir()
    (mine / "adapter.yml").write_text(yaml)
    for name, text in sql.items():
        (mine / f"{name}.sql").write_text(text)
    return target


@pytest.fixture
def feeds(tmp_path: Path, make_shop: Callable[..., Shop]) -> Feeds:
    """Make a shop from adapter.yml and the SQL of its feeds."""

    def make(yaml: str = YAML, name: str = "shop", **sql: str) -> Shop:
        return make_shop(name, source="mine", sql_dir=adapter(tmp_path, yaml, SQL | sql))

    return make


def text(*lines: str, header: str = HEADER) -> str:
    return "\n".join((header, *lines)) + "\n"


def ledger(shop: Shop) -> dict[str, tuple[int, ...]]:
    """delivered, accepted, rejected, duplicate, skipped by feed."""
    rows = shop.query(
        "select feed, sum(delivered)::int, sum(accepted)::int, sum(rejected)::int, sum(duplicate)::int, "
        "sum(skipped)::int from raw.deliveries group by 1 order by 1"
    )
    return {feed: tuple(counts) for feed, *counts in rows}


def test_one_row_is_several_facts_and_the_ledger_balances_for_each_feed(feeds: Feeds) -> None:
    shop = feeds()
    shop.write("orders.csv", text(*LINES))
    shop.ingest()
    found = shop.query(
        "select event_type, event_at::date::varchar, order_id, unit_price::double from raw.events order by all"
    )
    assert found == [
        ("charge_refund", "2024-01-20", "o1", 4.5),
        ("purchase", "2024-01-05", "o1", 10),
        ("purchase", "2024-01-05", "o1", 10),
    ]
    assert ledger(shop) == {"lines": (4, 2, 1, 0, 1), "refunds": (4, 1, 0, 0, 3)}
    assert shop.query("select feed, source_row, reason from raw.rejects") == [("lines", 3, "negative")]
    skips = shop.query("select feed, event_date::varchar, reason, row_count from raw.skips order by all")
    assert skips == [("lines", "2024-01-06", "test_order", 1), ("refunds", None, "no_refund", 3)]


def test_equal_rows_are_facts_and_a_row_that_comes_again_is_none(feeds: Feeds) -> None:
    shop = feeds()
    shop.write("orders.csv", text(*LINES[:2]))
    shop.ingest()
    before = shop.table("raw.events")
    # The same two lines and a third equal one; then a file that begins on a later day.
    shop.write("orders_2.csv", text("o0,2024-01-04,mask,2,10,,", *LINES[:2], LINES[1]))
    shop.ingest(LATER)
    lines = "select order_id, count(*) from raw.events where event_type = 'purchase' group by 1 order by 1"
    assert shop.query(lines) == [("o0", 1), ("o1", 3)]
    assert set(before) <= set(shop.table("raw.events"))
    shop.write("orders_3.csv", text(LINES[0], "o9,2024-01-09,mask,1,1,,"))
    shop.ingest(LATEST)
    assert shop.query(lines) == [("o0", 1), ("o1", 3), ("o9", 1)]
    assert ledger(shop)["lines"] == (8, 5, 0, 3, 0)


def test_equal_rows_may_be_duplicates_where_the_adapter_says_so(feeds: Feeds) -> None:
    lines = SQL["lines"].replace("'price') }}", "'price', equal_rows='duplicate') }}")
    shop = feeds(lines=lines)
    shop.write("orders.csv", text(*LINES[:2]))
    shop.ingest()
    assert ledger(shop)["lines"] == (2, 1, 0, 1, 0)
    with pytest.raises(InputError, match=r"lines\.sql: row_id.*equal_rows='one'.*one of 'separate'"):
        feeds(lines=lines.replace("'duplicate'", "'one'")).pending()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            SQL["lines"] + " where sku <> 'test'",
            r"lines\.sql: the feed lines returned 3 rows for 4 landed rows: it returned no row for row 4 of "
            r"orders\.csv.*skip_reason",
        ),
        (
            SQL["lines"] + ", range(1 + (sku = 'cream')::int)",
            r"lines\.sql: the feed lines returned 5 rows for 4 landed rows: it returned row 3 of orders\.csv 2 times",
        ),
        (
            SQL["lines"] + ", range(2) as r(n) where not (sku in ('test', 'cream') and n = 0) "
            "and not (sku = 'mask' and n = 1) and sku <> 'cream' or sku = 'test'",
            r"lines\.sql: the feed lines returned 4 rows for 4 landed rows: it returned (no row for row 3|row 4)",
        ),
        (
            SQL["lines"].replace(
                "{{ provenance() }}",
                "_delivery_id, _source_file, _source_row + 10 as _source_row, _event_date",
            ),
            r"the feed lines returned 4 rows for 4 landed rows: it returned no row for row 1 of orders\.csv",
        ),
    ],
)
def test_a_feed_that_multiplies_or_drops_rows_is_named_with_the_row(
    feeds: Feeds, sql: str, message: str
) -> None:
    shop = feeds(lines=sql)
    shop.write("orders.csv", text(*LINES))
    shop.land()
    with pytest.raises(InputError, match=message):
        shop.load()
    assert shop.query("select count(*) from raw.events where event_type = 'purchase'") == [(0,)]
    assert ledger(shop).keys() <= {"refunds"}  # the rows without a date, which only refunds have


def test_a_reason_to_skip_has_to_be_described(feeds: Feeds) -> None:
    shop = feeds(YAML.replace("no_refund: nothing", "none: nothing"))
    shop.write("orders.csv", text(*LINES))
    shop.land()
    with pytest.raises(
        InputError, match=r"refunds\.sql uses the skip reason 'no_refund', but `skips`.*: none"
    ):
        shop.load()


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        (YAML.replace("      lines:", "      Lines:"), r"adapter.yml:6: 'Lines' is not a name for a feed"),
        (
            YAML.replace("      lines:", "      reviews:"),
            r"adapter.yml:6: the feed 'reviews' of events has the name",
        ),
        (YAML.replace("      lines:", "      more:"), r"more\.sql does not exist.*the feed of events more"),
        (YAML.replace("skips: {no", "skip: {no"), r"adapter.yml:14: unknown key 'skip'"),
        ("tables:\n  events:\n    feeds: {}\n", r"adapter.yml:3: events has no feed"),
        (YAML + YAML.split("tables:\n")[1].replace("events", "touches"), r"two tables have a feed 'lines'"),
    ],
)
def test_a_wrong_feed_is_refused_with_file_and_line(feeds: Feeds, yaml: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        feeds(yaml)


def test_a_window_sees_the_whole_file_in_whatever_ranges_it_is_loaded(feeds: Feeds) -> None:
    lines = SQL["lines"].replace(
        "'purchase' as", "{{ fill_down('customer', 'order') }} as customer_id, 'purchase' as"
    )
    header = HEADER + ",customer"
    # The customer is on the first line of an order; the line of another day lacks them.
    content = text(
        "o1,2024-01-05,mask,2,10,,,ann",
        "o2,2024-01-06,a,1,1,,,bob",
        "o1,2024-01-09,mask,2,10,,,",
        header=header,
    )
    shops = [feeds(name=name, lines=lines) for name in ("whole", "pieces")]
    for shop in shops:
        shop.write("orders.csv", content)
        shop.land()
    shops[0].load()
    for key in reversed(shops[1].pending()):
        shops[1].load(keys=[key])
    customers = "select event_at::date::varchar, customer_id from raw.events order by 1"
    expected = [("2024-01-05", "ann"), ("2024-01-06", "bob"), ("2024-01-09", "ann")]
    assert shops[0].query(customers) == shops[1].query(customers) == expected
    assert shops[0].table("raw.events") == shops[1].table("raw.events")


def test_a_window_does_not_see_another_file(feeds: Feeds) -> None:
    lines = SQL["lines"].replace(
        "'purchase' as", "lag(sku) over (order by _source_row) as channel, 'purchase' as"
    )
    shop = feeds(lines=lines)
    shop.write("orders_1.csv", text("o1,2024-01-05,mask,2,10,,"))
    shop.write("orders_2.csv", text("o2,2024-01-05,cream,2,10,,", "o2,2024-01-05,soap,1,2,,"))
    shop.ingest()
    found = shop.query("select product_id, channel from raw.events order by 1")
    assert found == [("cream", None), ("mask", None), ("soap", "cream")]


def test_a_time_that_only_the_first_line_has_is_filled_down(feeds: Feeds) -> None:
    shop = feeds(YAML.replace("columns: {order", "time_by: order\n        columns: {order"))
    shop.write(
        "orders.csv", text("o1,2024-01-05,a,1,1,,", "o2,2024-01-07,b,1,1,,", "o1,,c,1,1,,", "o3,,d,1,1,,")
    )
    shop.ingest()
    found = shop.query("select product_id, event_at::date::varchar from raw.events order by 1")
    assert found == [("a", "2024-01-05"), ("b", "2024-01-07"), ("c", "2024-01-05")]
    assert shop.query("select source_row, reason from raw.rejects") == [(4, "unreadable_event_at")]


def test_a_table_that_gets_feeds_is_landed_and_loaded_again(feeds: Feeds, tmp_path: Path) -> None:
    one = "tables:\n  events:\n    files: ['*.csv']\n    time: \"{{ instant('at') }}\"\n    skips: {test_order: test}\n"
    one += "    rejects: {negative: the price is below zero}\n"
    shop = feeds(one, events=SQL["lines"])
    path = shop.write("orders.csv", text(*LINES))
    shop.ingest()
    assert ledger(shop) == {"events": (4, 2, 1, 0, 1)}
    with_feeds = feeds()
    with_feeds.connection = shop.connection
    moved = path.rename(tmp_path / "orders.csv")
    shop.write("other.csv", text("o7,2024-01-05,mask,2,10,,"))
    with pytest.raises(
        InputError, match=r"orders\.csv was landed for the feed events of events.*lines, refunds"
    ):
        with_feeds.land(LATER)
    moved.rename(path)
    with_feeds.ingest(LATER)
    assert ledger(with_feeds) == {"lines": (5, 3, 1, 0, 1), "refunds": (5, 1, 0, 0, 4)}


def test_manifests_and_ledgers_from_before_there_were_feeds_are_read(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1"), line("e2", quantity="0")))
    shop.ingest()
    tables = {
        name: ", ".join(shop.connection.columns(f"select * from raw.{name}"))
        for name in ("events", "deliveries", "rejects", "skips")
    }
    before = {n: shop.query(f"select {listed} from raw.{n} order by all") for n, listed in tables.items()}
    landed = shop.source.landing.deliveries()
    manifest = next(shop.settings.landing_dir.glob("manifests/*.json"))
    manifest.write_text(manifest.read_text().replace('"table": "events",', ""))
    assert '"table"' not in manifest.read_text()
    assert shop.source.landing.deliveries() == landed
    shop.query("alter table raw.deliveries drop column feed")
    shop.query("alter table raw.deliveries drop column skipped")
    shop.query("alter table raw.rejects drop column feed")
    shop.query("drop table raw.skips")
    create_tables(shop.connection, shop.contract.values())
    assert shop.query("select feed, skipped from raw.deliveries") == [("events", 0)]
    shop.load(keys=shop.all_keys())
    assert {n: shop.query(f"select {c} from raw.{n} order by all") for n, c in tables.items()} == before


# ---------------------------------------------------------------- any files, any ranges

row = st.builds(
    lambda order, day, sku, price, refund: (
        f"o{order},2024-01-0{day},{sku},1,{price}," + (f"2024-01-0{refund},1" if refund else ",")
    ),
    order=st.integers(1, 2),
    day=st.integers(1, 4),
    sku=st.sampled_from(["mask", "mask", "test"]),
    price=st.sampled_from([1, 1, -1]),
    refund=st.sampled_from([0, 0, 3, 5]),
)


def test_any_files_in_any_ranges_balance_and_give_the_same_tables(
    sql_project: Project, contract: dict[str, ContractTable]
) -> None:
    @settings(max_examples=5, deadline=None, derandomize=True, report_multiple_bugs=False)
    @given(
        files=st.lists(st.lists(row, min_size=1, max_size=6), min_size=1, max_size=3, unique_by=tuple),
        chance=st.randoms(use_true_random=False),
    )
    def check(files: list[list[str]], chance: random.Random) -> None:
        with TemporaryDirectory() as folder:
            given = {"source": "mine", "sql_dir": sql, "end_date": "2024-01-10"}
            shops = [
                Shop(Path(folder) / name, sql_project, contract, **given) for name in ("whole", "pieces")
            ]
            try:
                whole_and_pieces_agree(shops[0], shops[1], files, chance)
            finally:
                for shop in shops:
                    shop.raw.close()

    with TemporaryDirectory() as shared:
        sql = adapter(Path(shared), YAML, SQL)
        check()


LEDGER_OF_DAYS = (
    "select feed, event_date::varchar, sum(delivered)::int, sum(accepted)::int, sum(rejected)::int, "
    "sum(duplicate)::int, sum(skipped)::int from raw.deliveries group by all order by all"
)


def whole_and_pieces_agree(whole: Shop, pieces: Shop, files: list[list[str]], chance: random.Random) -> None:
    """Land all files at once in one shop, one by one in any order in the other."""
    for number, lines in enumerate(files):
        whole.write(f"{number}.csv", text(*lines))
    whole.ingest(FIRST)
    for number in chance.sample(range(len(files)), len(files)):
        pieces.write(f"{number}.csv", text(*files[number]))
        pieces.land(chance.choice([FIRST, LATER]))
        keys = pieces.all_keys()[:-1]
        start = chance.randrange(len(keys))
        pieces.load(keys=keys[start : start + chance.randrange(1, len(keys))])
    pieces.ingest(LATEST)
    assert pieces.table("raw.skips") == whole.table("raw.skips")
    assert pieces.table("raw.rejects") == whole.table("raw.rejects")
    # The order of landing decides which of several equal rows is the fact, and since when it is known.
    clocks = "known_at, superseded_at, delivery_id"
    assert pieces.table("raw.events", clocks) == whole.table("raw.events", clocks)
    assert pieces.query(LEDGER_OF_DAYS) == whole.query(LEDGER_OF_DAYS)
    rows = sum(map(len, files))
    found = ledger(whole)
    assert {feed: counts[0] for feed, counts in found.items()} == {"lines": rows, "refunds": rows}
    # A fact occurs as often as in the file that has it most often.
    counted: Counter[tuple[str, ...]] = Counter()
    for lines in files:
        kept = (tuple(line.split(",")[:5]) for line in lines if ",test," not in line and ",-1," not in line)
        counted |= Counter(kept)
    assert found["lines"][1] == counted.total()
    assert found["lines"][4] == sum(",test," in line for lines in files for line in lines)


# ---------------------------------------------------------------- a raw export of Shopify

SHOPIFY = """\
Name,Email,Financial Status,Paid at,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Created at,\
Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Refunded Amount,Cancelled at,Test
#1001,Ann@example.org,partially_refunded,2025-10-07 09:50:30 +0200,EUR,106.70,5.00,0.00,111.70,WELCOME10,10.00,\
2025-10-07 09:50:26 +0200,3,Mask,34.90,'0012,20.00,,
#1001,Ann@example.org,,,,,,,,,,2025-10-07 09:50:26 +0200,1,Cream,12.00,0013,,,
#1002,ann@example.org,paid,2025-10-08 00:30:10 +0200,EUR,12.00,0.00,0.00,12.00,,0.00,\
2025-10-08 00:30:00 +0200,1,Cream,12.00,0013,0.00,,
#1003,bob@example.org,voided,,EUR,34.90,0.00,0.00,34.90,,0.00,\
2025-10-09 12:00:00 +0200,1,Mask,34.90,0012,0.00,2025-10-09 13:00:00 +0200,
#1004,,paid,2025-10-09 14:00:00 +0200,EUR,34.90,0.00,0.00,34.90,,0.00,\
2025-10-09 14:00:00 +0200,1,Mask,34.90,0012,0.00,,
"""
SHOPIFY_YAML = """
tables:
  events:
    files: ["*.csv"]
    time: try_strptime("Created at", '%Y-%m-%d %H:%M:%S %z') at time zone 'Europe/Berlin'
    required: [Name, Email, Created at]
    feeds:
      lines:
        skips: {voided: the order was voided}
      discounts:
        skips: {voided: the order was voided, no_discount: the row has no discount}
      refunds:
        skips: {voided: the order was voided, no_refund: the row has no refund}
"""
_ORDER = """
        md5(lower({{ fill_down('Email', 'Name') }})) as customer_id, "Name" as order_id, 'EUR' as currency,
        {{ time() }} as event_at,
        case when {{ fill_down('Financial Status', 'Name') }} = 'voided' then 'voided'
"""
SHOPIFY_SQL = {
    "lines": f"""
        select {{{{ provenance() }}}}, {{{{ row_id('Name', 'Lineitem sku', 'Lineitem quantity') }}}} as event_id,
        'purchase' as event_type, ltrim("Lineitem sku", chr(39)) as product_id,
        {{{{ whole('Lineitem quantity') }}}} as quantity, "Lineitem price" as unit_price,
        {_ORDER} end as skip_reason
        from {{{{ landed() }}}}
    """,
    "discounts": f"""
        select {{{{ provenance() }}}}, {{{{ row_id('Name') }}}} as event_id, 'discount' as event_type,
        1 as quantity, "Discount Amount" as unit_price,
        {_ORDER} when coalesce(try_cast("Discount Amount" as double), 0) = 0 then 'no_discount' end as skip_reason
        from {{{{ landed() }}}}
    """,
    "refunds": f"""
        select {{{{ provenance() }}}}, {{{{ row_id('Name') }}}} as event_id, 'refund' as event_type,
        1 as quantity, "Refunded Amount" as unit_price,
        {_ORDER} when coalesce(try_cast("Refunded Amount" as double), 0) = 0 then 'no_refund' end as skip_reason
        from {{{{ landed() }}}}
    """,
}
NET = "sum(quantity * unit_price * case event_type when 'purchase' then 1 else -1 end)::decimal(18, 2)"
ORDERS = "count(distinct order_id) filter (where event_type = 'purchase')"


@pytest.fixture
def shopify(tmp_path: Path, make_shop: Callable[..., Shop]) -> Shop:
    sql = adapter(tmp_path, SHOPIFY_YAML, SHOPIFY_SQL)
    dates = {"start_date": "2025-10-01", "end_date": "2025-11-01", "timezone": "Europe/Berlin"}
    shop = make_shop(source="mine", sql_dir=sql, **dates)
    shop.write("orders_export.csv", SHOPIFY)
    shop.ingest()
    return shop


def test_every_row_of_a_raw_shopify_export_is_in_the_ledger_of_each_feed(shopify: Shop) -> None:
    found = ledger(shopify)
    assert {feed: (counts[0], counts[4]) for feed, counts in found.items()} == {
        "lines": (5, 1),
        "discounts": (5, 4),
        "refunds": (5, 4),
    }
    assert found["lines"] == (5, 4, 0, 0, 1)
    skips = shopify.query("select feed, reason, sum(row_count)::int from raw.skips group by all order by all")
    assert skips == [
        ("discounts", "no_discount", 3),
        ("discounts", "voided", 1),
        ("lines", "voided", 1),
        ("refunds", "no_refund", 3),
        ("refunds", "voided", 1),
    ]


def test_a_raw_shopify_export_gives_the_shops_own_net_revenue(shopify: Shop) -> None:
    assert shopify.reasons() == {}
    assert shopify.query(f"select {NET}, {ORDERS} from raw.events") == [(Decimal("133.60"), 3)]
    by_customer = (
        f"select customer_id is null, {NET}, {ORDERS} from raw.events group by customer_id order by 1"
    )
    assert shopify.query(by_customer) == [(False, Decimal("98.70"), 2), (True, Decimal("34.90"), 1)]
