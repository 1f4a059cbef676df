"""Tables of a real PostgreSQL, pulled twice with rows changed, inserted and deleted between."""

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from filelock import FileLock

from clm_dagster.domains.connect import delivering
from clm_dagster.domains.connect.config import read_connectors
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.connect.conftest import Puller
from clm_dagster_tests.domains.connect.postgres import PASSWORD
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, Shop

ORDERS = """
    create table orders (
        event_id text primary key, event_at timestamptz, customer_id text, event_type text, order_id text,
        product_id text, quantity int, unit_price numeric(10, 2), updated_at timestamptz not null
    )
"""
SQL = {"shop_db": {"type": "sql", "url": "${SHOP_DB_URL}"}}


def connectors(**tables: Any) -> dict[str, Any]:
    return {"shop_db": SQL["shop_db"] | {"tables": tables}}


def put(
    database: sa.Connection, event: str, price: str, updated: str, at: str = "2024-01-05 10:00+01"
) -> None:
    database.exec_driver_sql(
        "insert into orders values (%s, %s, 'c1', 'purchase', 'o1', 'p1', 2, %s, %s) on conflict (event_id) do update "
        "set unit_price = excluded.unit_price, updated_at = excluded.updated_at, event_at = excluded.event_at",
        (event, at, price, updated),
    )


def test_two_pulls_with_changes_between_give_the_rows_of_the_database(
    database: sa.Connection, puller: Callable[..., Puller], make_shop: Callable[..., Shop], tmp_path: Path
) -> None:
    database.exec_driver_sql(ORDERS)
    database.exec_driver_sql("create table customers (customer_id text primary key, country text)")
    database.exec_driver_sql("insert into customers values ('c1', 'DE'), ('c2', 'FR')")
    for event, price in (("e1", "1.10"), ("e2", "2.20"), ("e3", "3.30")):
        put(database, event, price, "2024-01-06 00:00+00")
    orders = {"cursor": "updated_at", "key": "event_id", "file": "events"}
    shop_files = puller(connectors(orders=orders, customers={}))
    assert shop_files.pull() == {"shop_db.orders": 3, "shop_db.customers": 2}
    shop = make_shop(input=str(shop_files.inbox))
    shop.ingest(FIRST, ("events", "customers"))

    assert shop_files.pull() == {"shop_db.orders": 0, "shop_db.customers": 0}  # nothing new: no file
    assert len(shop_files.files()) == 2

    put(database, "e2", "9.99", "2024-01-07 00:00+00")  # changed
    put(database, "e3", "3.30", "2024-01-07 00:00+00", at="2024-01-08 23:30+00")  # moved to another day
    put(database, "e4", "4.40", "2024-01-06 00:00+00")  # new, with the cursor that was the last
    database.exec_driver_sql("delete from orders where event_id = 'e1'")
    database.exec_driver_sql("delete from customers where customer_id = 'c2'")
    database.exec_driver_sql("insert into customers values ('c3', 'IT')")
    database.exec_driver_sql("update customers set country = 'AT' where customer_id = 'c1'")
    assert shop_files.pull() == {"shop_db.orders": 3, "shop_db.customers": 2}
    shop.ingest(LATER, ("events", "customers"))

    # A deleted row stays: absence deletes nothing.
    current = "select event_id, event_at::varchar, unit_price from raw.events where superseded_at is null order by 1"
    assert shop.query(current) == [
        ("e1", "2024-01-05 09:00:00", Decimal("1.1")),
        ("e2", "2024-01-05 09:00:00", Decimal("9.99")),
        ("e3", "2024-01-08 23:30:00", Decimal("3.3")),
        ("e4", "2024-01-05 09:00:00", Decimal("4.4")),
    ]
    assert shop.query(
        "select customer_id, country from raw.customers where superseded_at is null order by 1"
    ) == [("c1", "AT"), ("c2", "FR"), ("c3", "IT")]
    assert shop.reasons() == {}
    earlier = "select unit_price from raw.events where event_id = 'e2' and superseded_at is not null"
    assert shop.query(earlier) == [(Decimal("2.2"),)]


def test_types_keep_their_values(database: sa.Connection, puller: Callable[..., Puller]) -> None:
    database.exec_driver_sql(
        'create table "All Types" (id bigint primary key, price numeric(12, 4), free numeric, at timestamp, '
        'zoned timestamptz, day date, doc jsonb, done boolean, tags text[], share float8, "Odd Name" text, none text)'
    )
    database.exec_driver_sql(
        """insert into "All Types" values (1, 12345678.0001, 0.12345678901234567890, '2024-03-31 02:30',
        '2024-03-31 02:30+02', '2024-02-29', '{"a": [1, 2.50]}', true, '{x,y}', 0.1, 'Zoë', null)"""
    )
    shop = puller(connectors(types={"table": "All Types"}))
    assert shop.pull() == {"shop_db.types": 1}
    (file,) = shop.files()
    texts = ", ".join(
        f'"{c}"::varchar' for c in ("at", "day", "doc", "done", "tags", "share", "Odd Name", "none")
    )
    ((price, free, zoned, *rest),) = shop.rows(file, f"price, free, epoch(zoned), {texts}")
    assert (price, free) == (Decimal("12345678.0001"), "0.12345678901234567890")
    assert zoned == 1711845000
    assert rest == [
        "2024-03-31 02:30:00",
        "2024-02-29",
        '{"a": [1, 2.50]}',
        "true",
        "{x,y}",
        "0.1",
        "Zoë",
        None,
    ]


def test_a_full_copy_delivers_a_value_that_comes_back(
    database: sa.Connection, puller: Callable[..., Puller]
) -> None:
    database.exec_driver_sql("create table customers (customer_id text primary key, country text)")
    database.exec_driver_sql("insert into customers values ('c1', 'DE'), ('c2', 'FR')")
    shop = puller(connectors(customers={}))
    assert shop.pull() == {"shop_db.customers": 2}
    for country in ("AT", "DE"):
        database.exec_driver_sql(f"update customers set country = '{country}' where customer_id = 'c1'")
        assert shop.pull() == {"shop_db.customers": 1}
        assert shop.rows(shop.files()[-1]) == [("c1", country)]


def test_a_full_copy_without_a_key_is_delivered_whole_if_anything_differs(
    database: sa.Connection, puller: Callable[..., Puller]
) -> None:
    database.exec_driver_sql("create table lines (sku text)")
    database.exec_driver_sql("insert into lines values ('a'), ('a'), ('b')")
    shop = puller(connectors(lines={}))
    assert [shop.pull(), shop.pull()] == [{"shop_db.lines": 3}, {"shop_db.lines": 0}]
    database.exec_driver_sql("insert into lines values ('a')")
    assert shop.pull() == {"shop_db.lines": 4}


def test_rows_without_a_cursor_are_delivered_once_and_a_lag_reads_rows_that_came_late(
    database: sa.Connection, puller: Callable[..., Puller]
) -> None:
    database.exec_driver_sql("create table moves (id int primary key, at timestamp)")
    database.exec_driver_sql("insert into moves values (1, null), (2, '2024-01-05 10:00')")
    shop = puller(connectors(moves={"cursor": "at", "lag": 3600}))
    assert [shop.pull(), shop.pull()] == [{"shop_db.moves": 2}, {"shop_db.moves": 0}]
    database.exec_driver_sql("insert into moves values (3, '2024-01-05 09:30'), (4, '2024-01-05 08:00')")
    assert shop.pull() == {"shop_db.moves": 1}  # 4 is older than the lag
    assert shop.rows(shop.files()[-1], "id") == [(3,)]


def test_only_the_columns_that_are_asked_for(database: sa.Connection, puller: Callable[..., Puller]) -> None:
    database.exec_driver_sql(
        "create table customers (customer_id text primary key, country text, phone text)"
    )
    database.exec_driver_sql("insert into customers values ('c1', 'DE', '0123456789')")
    shop = puller(connectors(customers={"columns": ["customer_id", "country"]}))
    assert shop.pull() == {"shop_db.customers": 1}
    assert shop.rows(shop.files()[0]) == [("c1", "DE")]


def test_large_tables_are_read_in_chunks(database: sa.Connection, puller: Callable[..., Puller]) -> None:
    database.exec_driver_sql(
        "create table numbers as select n as id, now() - n * interval '1 s' as at from generate_series(1, 50000) n"
    )
    numbers = connectors(numbers={"cursor": "at", "key": "id"})
    numbers["shop_db"]["chunk_rows"] = 7000
    shop = puller(numbers)
    assert shop.pull() == {"shop_db.numbers": 50_000}
    assert shop.rows(shop.files()[0], "count(distinct id), sum(id)") == [(50_000, 1_250_025_000)]


# ------------------------------------------------------------------------------------- breaks

KILLED = """
import os, sys
from clm_dagster.domains.connect import pulling
pulling.deliver = lambda *given: os._exit(9)
from clm_dagster.settings import load_settings
from clm_dagster.shop_pull import pull_shop
from clm_dagster_tests.shops import quiet
pull_shop(load_settings(source="generic", data_dir=sys.argv[1], input=sys.argv[2], connectors=sys.argv[3]), quiet)
"""


def test_a_pull_that_is_killed_before_the_delivery_loses_nothing(
    database: sa.Connection, puller: Callable[..., Puller], monkeypatch: pytest.MonkeyPatch
) -> None:
    database.exec_driver_sql(ORDERS)
    put(database, "e1", "1.10", "2024-01-06 00:00+00")
    shop = puller(connectors(orders={"cursor": "updated_at"}))
    place = [str(shop.settings.data_dir), shop.settings.input, str(shop.inbox.parent / "connectors.yml")]
    died = subprocess.run([sys.executable, "-c", KILLED, *place], check=False)
    assert died.returncode == 9
    assert shop.files() == []
    put(database, "e2", "2.20", "2024-01-07 00:00+00")
    with monkeypatch.context() as broken:
        broken.setattr(delivering, "_free_name", lambda *_: 1 / 0)
        assert "ZeroDivisionError" in str(shop.failure())
    assert shop.files() == []
    assert shop.pull() == {"shop_db.orders": 2}
    assert shop.pull() == {"shop_db.orders": 0}
    assert shop.rows(shop.files()[0], "event_id") == [("e1",), ("e2",)]


def test_a_table_that_fails_does_not_stop_the_others_and_no_secret_is_shown(
    database: sa.Connection,
    puller: Callable[..., Puller],
    postgres_url: sa.URL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database.exec_driver_sql("create table customers (customer_id text primary key)")
    database.exec_driver_sql("insert into customers values ('c1')")
    wrong = postgres_url.set(password="wrong-" + PASSWORD).render_as_string(hide_password=False)
    monkeypatch.setenv("OTHER_URL", wrong)
    tables = connectors(customers={}, missing={}) | {
        "other": {"type": "sql", "url": "${OTHER_URL}", "tables": ["customers"]},
        "unset": {"type": "sql", "url": "${NOT_SET}", "tables": ["customers"]},
    }
    shop = puller(tables)
    assert {each.table: each.rows for each in shop.report().tables} == {
        "shop_db.customers": 1,
        "shop_db.missing": None,
        "other.customers": None,
        "unset.customers": None,
    }
    message = str(shop.failure())
    assert "shop_db.missing: the database has no table 'missing'; it has customers" in message
    assert 'password authentication failed for user "clm"' in message
    assert "the environment variable NOT_SET is not set" in message
    given = [PASSWORD, wrong, postgres_url.render_as_string(hide_password=False)]
    secrets = [text.encode() for value in given for text in {value, value.replace("/", "%2F")}]
    for path in shop.settings.data_dir.rglob("*"):
        found = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in secrets if secret in found], path
    assert not [secret for secret in given if secret in message]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"cursor": "changed"}, "cursor is 'changed'; the table has customer_id, doc"),
        ({"cursor": "doc"}, "the cursor 'doc' is of type JSONB; expected a time, a date or a whole number"),
        ({"key": "id"}, "key is 'id'; the table has customer_id, doc"),
    ],
)
def test_a_wrong_column_is_an_error(
    table: dict[str, str], message: str, database: sa.Connection, puller: Callable[..., Puller]
) -> None:
    database.exec_driver_sql("create table customers (customer_id text primary key, doc jsonb)")
    assert message in str(puller(connectors(customers=table)).failure())


def test_another_pull_of_the_same_table_is_waited_for(
    database: sa.Connection, puller: Callable[..., Puller], monkeypatch: pytest.MonkeyPatch
) -> None:
    database.exec_driver_sql("create table customers (customer_id text primary key)")
    shop = puller(connectors(customers={}), lock_timeout=0.1)
    folder = shop.settings.data_dir.resolve() / "connect" / "shop_db" / "customers"
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        assert "another process has been pulling shop_db.customers for 0.1 s" in str(shop.failure())


def test_settings_name_the_file(settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"no\.yml does not exist"):
        read_connectors(tmp_path / "no.yml", settings_for())
