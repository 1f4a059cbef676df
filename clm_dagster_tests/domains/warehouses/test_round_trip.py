"""The marts of a whole shop in a real PostgreSQL, read back by psycopg2 and compared value by value."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2  # type: ignore[import-untyped]
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.warehouses.running import destinations_of
from clm_dagster.domains.warehouses.targets.opening import connected
from clm_dagster.platform.runs import execute, open_instance
from clm_dagster.settings import Settings
from clm_dagster_tests.two_weeks import copy_shop

# What PostgreSQL calls the types of DuckDB in the marts.
TYPES = {
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "DOUBLE": "double precision",
    "FLOAT": "real",
    "BOOLEAN": "boolean",
    "VARCHAR": "text",
    "VARCHAR[]": "text[]",
    "DATE": "date",
    "TIMESTAMP": "timestamp without time zone",
    "HUGEINT": "numeric(39,0)",
}


def test_the_job_publishes_the_marts_as_they_are(
    two_weeks: Settings, tmp_path: Path, servers: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", servers("postgresql"))
    shop = copy_shop(two_weeks, tmp_path).replace(
        publish_to="dwh=${WAREHOUSE_URL}", publish_schema="round_trip"
    )
    with open_instance(shop) as instance:
        execute(build_definitions(shop), instance, "publish", None, lambda *_: None)
    (destination,) = destinations_of(shop, None)
    with connected(destination, "round_trip") as target:
        published = target.published(target.existing())
    assert {"marts.rfm_segments", "marts.shop_daily", "marts.lifecycle_stages", "staging.stage_map"} <= set(
        published
    )
    compared = 0
    with (
        closing(duckdb.connect(str(shop.published_path), read_only=True)) as ours,
        closing(psycopg2.connect(servers("postgresql"))) as theirs,
        theirs.cursor() as cursor,
    ):
        for relation, found in published.items():
            columns = dict(row[:2] for row in ours.execute(f"describe select * from {relation}").fetchall())
            listed = ", ".join(f'"{name}"' for name in columns)
            cursor.execute(f"select {listed} from round_trip.{found.name}")
            expected = ours.execute(f"select {listed} from {relation}").fetchall()
            assert sorted(map(repr, cursor.fetchall())) == sorted(map(repr, expected)), relation
            compared += len(expected)
            cursor.execute(
                "select attname, format_type(atttypid, atttypmod) from pg_attribute "
                f"where attrelid = 'round_trip.{found.name}'::regclass and attnum > 0"
            )
            types = dict(cursor.fetchall())
            for name, kind in columns.items():
                expected_type = (
                    kind.lower().replace("decimal", "numeric") if kind.startswith("DEC") else TYPES[kind]
                )
                assert types[name] == expected_type, f"{relation}.{name}"
    assert compared > 100
