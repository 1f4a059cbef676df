"""Fixtures: small dbt folders, small raw tables to build models over, and a complete run of one shop."""

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from clm_dagster.domains.ingest.contract import read_contract
from clm_dagster.domains.ingest.loading import create_tables
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.platform.warehouse import Connection, Warehouse
from clm_dagster.settings import Settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.shops import quiet, small_shop_events, write_shop

DBT_PROJECT = """\
name: tiny
profile: tiny
vars:
  start_date: "2024-01-01"
  as_of: null
models:
  tiny:
    +schema: core
"""
Rows = list[dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Write a dbt folder: path -> content. dbt_project.yml is there unless it is given."""

    def write(files: dict[str, str]) -> Path:
        root = tmp_path / "tiny"
        for name, content in ({"dbt_project.yml": DBT_PROJECT} | files).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return root

    return write


class Raw:
    """Rows of the raw tables, added one by one; columns that are not given are null."""

    def __init__(self, connection: Connection, project: Project) -> None:
        self.connection = connection
        self.project = project
        self.built = 0
        create_tables(connection, read_contract(project).values())

    def add(self, table: str, **values: Any) -> None:
        """Add one current row, known at its own instant."""
        row = {"deleted": False, "known_at": values.get("event_at", "2024-01-01")} | values
        names = ", ".join(row)
        self.connection.execute(
            f"insert into raw.{table} ({names}) values ({', '.join('?' for _ in row)})", list(row.values())
        )

    def event(self, kind: str, at: str, customer: str | None = "anna", **values: Any) -> None:
        """Add an event of one customer; order lines are one unit of product p1 at 10.00 by default."""
        count = self.connection.scalar("select count(*) from raw.events")
        row: dict[str, object] = {
            "event_id": f"e{count}",
            "event_type": kind,
            "event_at": at,
            "customer_id": customer,
        }
        if kind in ("purchase", "return", "gift", "charge", "charge_refund"):
            row |= {"order_id": f"o{at}", "product_id": "p1", "quantity": 1, "unit_price": "10.00"}
        row |= values
        if "unit_price" in row and "line_amount" not in row:  # as loading fills it
            paid = Decimal(str(row["unit_price"])) * Decimal(str(row["quantity"]))
            row["line_amount"] = paid - Decimal(str(row.get("discount_amount", 0)))
        self.add("events", **({"exchange_rate": 1} | row))

    def rows(self, model: str, as_of: str | None = None, **arguments: Any) -> Rows:
        """Build a model into a separate schema and return its rows as dicts, sorted by all columns."""
        self.built += 1
        instant = datetime.fromisoformat(as_of) if as_of else None
        relation = build(
            self.connection, self.project, [model], f"scratch_{self.built}", {}, as_of=instant, **arguments
        )[model]
        return read_rows(self.connection, relation)


def read_rows(connection: Connection, relation: str) -> Rows:
    """Return every row of a relation as a dict, sorted by all columns."""
    names = list(connection.columns(f"select * from {relation}"))
    return [dict(zip(names, row, strict=True)) for row in connection.execute(f"from {relation} order by all")]


def only(rows: Rows, *names: str) -> list[tuple[Any, ...]]:
    """Return some columns of rows, with money and instants as text."""
    return [tuple(row[name] for name in names) for row in rows]


@pytest.fixture
def raw(connection: Connection, project: Project) -> Raw:
    """Empty raw tables to fill."""
    return Raw(connection, project)


@pytest.fixture(scope="session")
def built_shop(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Settings, Warehouse, pd.DataFrame]]:
    """A complete run of a shop with three weeks of data, for reading: its settings, warehouse and events."""
    root = tmp_path_factory.mktemp("built_shop")
    events = small_shop_events(seed=3, customers=25, orders=110, days=21)
    settings = write_shop(root, events, end_date="2024-01-22")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(root))
        run_shop(settings, quiet)
        yield settings, warehouse_of(settings), events


@pytest.fixture(scope="session")
def built(built_shop: tuple[Settings, Warehouse, pd.DataFrame]) -> Iterator[Connection]:
    """A copy of the warehouse of that shop, to read and to build scratch schemas in."""
    settings, warehouse, _ = built_shop
    copy = settings.data_dir / "copy.duckdb"
    with warehouse.locked_file("a copy") as path:
        shutil.copy(path, copy)
    project = load_sql(settings)
    readers = project.python_dependents
    given = {name: model.relation for name, model in project.models.items() if name not in readers}
    with duckdb.connect(str(copy)) as opened:
        connection = Connection(opened)
        for schema in ("core", "marts"):  # no model was trained, so no run has created them
            names = [name for name in readers if project.models[name].schema == schema]
            build(connection, project, names, schema, given)
            given |= {name: project.models[name].relation for name in names}
        yield connection
