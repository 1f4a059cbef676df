"""A shop with plans and consents, and the view that exports read, without the rest of the pipeline."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from pydantic import PrivateAttr

from clm_dagster.domains.actions.exports.exporting import Export, Exported, Request
from clm_dagster.platform.dbt_project.building import compile_model, materialize
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.platform.warehouse import SCHEMAS, Connection, Warehouse
from clm_dagster.settings import Settings

MONDAY = date(2024, 6, 3)
PLAN = {
    "action": "reminder",
    "play": "remind",
    "channel": "email",
    "arm": "treated",
    "expected_cost": 0.05,
    "expected_gain": 1.5,
    "products": ["mug", "plate"],
    "reason": "They have not ordered for 80 days.",
}


def create_tables(connection: Connection, project: Project, consent: str = "stated") -> None:
    """Create empty inputs, and the view of the SQL project over them. consent: the setting CLM_ACTIONS_CONSENT."""
    for schema in SCHEMAS:
        connection.execute(f"create schema if not exists {schema}")
    connection.ensure_columns("marts.next_best_actions", project.nodes["marts.next_best_actions"].types)
    for name in ("stg_customers", "customer_identities"):
        model = project.model(name)
        connection.ensure_columns(model.relation, model.types)
    view = project.model("actions_to_send")
    sql = compile_model(project, view, variables={"actions_consent": consent})
    materialize(connection, view, view.relation, sql)


def replace(connection: Connection, relation: str, rows: pd.DataFrame, where: str = "true") -> None:
    """Replace rows of an input; columns that are not given are null."""
    connection.execute(f"delete from {relation} where {where}")
    if len(rows):
        connection.load_frame("given_rows", rows, temporary=True)
        connection.execute(f"insert into {relation} by name select * from given_rows")


class InMemory(Warehouse):
    """A warehouse in memory: the one connection is opened by the test."""

    _connection: Connection = PrivateAttr()

    @classmethod
    def open(cls, project: Project, consent: str = "stated") -> "InMemory":
        found = cls(database=":memory:")
        found._connection = Connection(duckdb.connect(":memory:", config={"threads": 1}))
        create_tables(found._connection, project, consent)
        return found

    @contextmanager
    def connect(self, purpose: str) -> Iterator[Connection]:
        yield self._connection


class PlannedShop:
    """A shop of which the tests set plans and consents."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.warehouse = warehouse_of(settings)
        with self.warehouse.connect("test") as connection:
            create_tables(connection, load_sql(settings))
        self.hashes: dict[str, str] = {}

    def assume_consent(self) -> None:
        """Let customers who say nothing count as consenting."""
        self.settings = self.settings.replace(actions_consent="assumed")
        with self.warehouse.connect("test") as connection:
            create_tables(connection, load_sql(self.settings), "assumed")

    def plan(self, *customers: str | Mapping[str, Any], day: date = MONDAY) -> None:
        """Replace the plan of a day: ids, or columns that differ from the ordinary ones."""
        rows = [{**PLAN, **({"customer_id": c} if isinstance(c, str) else dict(c))} for c in customers]
        at = datetime.combine(day, datetime.min.time())
        frame = pd.DataFrame(rows, columns=["customer_id", *PLAN]).assign(as_of=pd.Timestamp(at))
        with self.warehouse.connect("test") as connection:
            replace(connection, "marts.next_best_actions", frame, f"as_of = timestamp '{at}'")

    def consents(self, **found: bool | None) -> None:
        """Replace the customers: their consent by id."""
        rows = [(c, consent, self.hashes.get(c)) for c, consent in found.items()]
        frame = pd.DataFrame(rows, columns=["customer_id", "consent_marketing", "email_hash"], dtype=object)
        with self.warehouse.connect("test") as connection:
            connection.execute("delete from staging.stg_customers")
            for row in frame.itertuples(index=False):
                connection.execute(
                    "insert into staging.stg_customers (customer_id, consent_marketing, email_hash) "
                    "values (?, ?, ?)",
                    list(row),
                )

    def persons(self, **person_of: str) -> None:
        """Join accounts with persons, at the ordinary day."""
        rows = [(c, p, pd.Timestamp(MONDAY)) for c, p in person_of.items()]
        frame = pd.DataFrame(rows, columns=["customer_id", "person_id", "as_of"])
        with self.warehouse.connect("test") as connection:
            replace(connection, "core.customer_identities", frame)

    def export(self, destination: str = "csv", **given: Any) -> Exported:
        """Export without Dagster."""
        return Export(self.settings, self.warehouse, Request(destination, **given), lambda _: None).run()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect("test") as connection:
            return connection.execute(query)

    def ledger(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select destination, number, customer_id, operation, state from raw.action_exports order by 1, 2, 3"
        )


@pytest.fixture
def shop(settings_for: Callable[..., Settings], tmp_path: Path) -> PlannedShop:
    return PlannedShop(
        settings_for(actions_webhook_wait=0.0, actions_webhook_timeout=0.5, actions_webhook_rows=2)
    )


def texts(done: Exported) -> dict[str, str]:
    """The files of an export by their names after the batch."""
    return {name.split("-", 4)[-1]: Path(done.folder, name).read_text() for name in done.files}


def contents(rows: Sequence[tuple[str]]) -> list[dict[str, Any]]:
    return [json.loads(text) for (text,) in rows]
