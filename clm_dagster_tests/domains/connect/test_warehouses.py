"""Tables of Snowflake, from its emulator, and what BigQuery is asked."""

import importlib.util
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from clm_dagster.domains.connect.config import PulledTable
from clm_dagster.domains.connect.sources import _selected
from clm_dagster_tests.domains.connect.conftest import Puller
from clm_dagster_tests.domains.warehouses import emulators

ORDERS = "create table ORDERS (EVENT_ID varchar, UNIT_PRICE number(10, 2), UPDATED_AT timestamp_ntz(6), DOC variant)"


def numbers(options: dict[str, str]) -> dict[str, str | int]:
    return {name: int(value) if value.isdigit() else value for name, value in options.items()}


@pytest.mark.filterwarnings("ignore")  # of the vendor's packages
def test_rows_of_snowflake_by_their_cursor(
    puller: Callable[..., Puller], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulators.needed("CLM_FAKESNOW", "snowflake.sqlalchemy")
    with emulators.snowflake(tmp_path) as address:
        url = sa.make_url(address)
        options = numbers({name: str(value) for name, value in url.query.items()})
        plain = url.set(query={})
        monkeypatch.setenv("SNOWFLAKE_URL", plain.render_as_string(hide_password=False))
        engine = sa.create_engine(plain, connect_args=options)
        with engine.connect() as connection:
            for statement in (
                "create database if not exists SHOP",
                "create schema if not exists SHOP.PUBLIC",
                "use schema SHOP.PUBLIC",
                ORDERS,
                "insert into ORDERS select 'e1', 1.10, '2024-01-06 00:00:00', parse_json('{\"a\": 1}')",
                "insert into ORDERS select 'e2', 2.20, '2024-01-06 00:00:00', null",
            ):
                connection.exec_driver_sql(statement)
            connection.commit()
            shop = puller(
                {
                    "lake": {
                        "type": "sql",
                        "url": "${SNOWFLAKE_URL}",
                        "schema": "PUBLIC",
                        "options": options,
                        "tables": {"orders": {"cursor": "updated_at", "key": "event_id"}},
                    }
                }
            )
            assert [shop.pull(), shop.pull()] == [{"lake.orders": 2}, {"lake.orders": 0}]
            assert shop.rows(shop.files()[0], "event_id, unit_price") == [
                ("e1", Decimal("1.10")),
                ("e2", Decimal("2.20")),
            ]
            connection.exec_driver_sql(
                "insert into ORDERS select 'e3', 3.30, '2024-01-07 00:00:00', parse_json('[1]')"
            )
            connection.commit()
            assert shop.pull() == {"lake.orders": 1}
        engine.dispose()


@pytest.mark.filterwarnings("ignore")
def test_bigquery_is_asked_for_json_where_it_casts_nothing() -> None:
    dialect = pytest.importorskip("sqlalchemy_bigquery").BigQueryDialect()
    read = sa.Table(
        "orders",
        sa.MetaData(schema="shop"),
        sa.Column("id", sa.String),
        sa.Column("tags", sa.ARRAY(sa.String)),
        sa.Column("price", sa.Numeric),
        sa.Column("updated_at", sa.TIMESTAMP),
        sa.Column("doc", sa.JSON),
    )
    columns = _selected(read, PulledTable("lake", "orders", "orders", "orders"), "bigquery")
    asked = str(sa.select(*columns).compile(dialect=dialect))
    for part in (
        "`orders`.`id`",
        "to_json_string(`orders`.`tags`) AS `tags`",
        "CAST(`orders`.`price` AS STRING) AS `price`",
        "`orders`.`updated_at`",
        "to_json_string(`orders`.`doc`) AS `doc`",
        "FROM `shop`.`orders`",
    ):
        assert part in asked


@pytest.mark.parametrize(
    ("scheme", "module"), [("snowflake", "snowflake.sqlalchemy"), ("bigquery", "sqlalchemy_bigquery")]
)
def test_a_missing_package_is_named(
    scheme: str, module: str, puller: Callable[..., Puller], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, real=importlib.util.find_spec: None if name == module else real(name),
    )
    shop = puller({"lake": {"type": "sql", "url": f"{scheme}://account/db", "tables": ["orders"]}})
    assert f"the package {module} is not installed; run" in str(shop.failure())
