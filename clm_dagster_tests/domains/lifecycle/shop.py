"""A made-up shop whose customers have habits: raw tables to build models over, snapshot after snapshot."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from clm_dagster.domains.ingest.contract import read_contract
from clm_dagster.domains.ingest.loading import create_tables
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection

START = date(2022, 1, 1)
AS_OF = datetime(2024, 1, 1)


def order_days(seed: int = 0, customers: int = 400, days: int = 730) -> pd.DataFrame:
    """Days with an order of customers with rhythms of their own, some of whom never come back."""
    rng = np.random.default_rng(seed)
    rows = set()
    for customer in range(customers):
        day, rhythm = int(rng.integers(days)), rng.gamma(2, 25)
        while day < days + 40:  # the last ones are after as_of
            rows.add((f"c{customer:03d}", START + timedelta(days=day)))
            if rng.random() < 0.15:
                day += int(rng.integers(250, 500))
            elif rng.random() < 0.12:
                break
            day += 1 + int(rng.exponential(rhythm))
    return pd.DataFrame(sorted(rows), columns=["customer_id", "activity_date"]).assign(orders=1)


def events_of(days: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A purchase at noon of each day, some of them returned two days later, and two who only look."""
    rng = np.random.default_rng(seed)
    at = pd.to_datetime(days.activity_date) + pd.Timedelta(hours=12)
    bought = pd.DataFrame(
        {
            "event_at": at,
            "customer_id": days.customer_id,
            "event_type": "purchase",
            "order_id": [f"o{n}" for n in range(len(days))],
            "product_id": "p1",
            "quantity": 1,
            "unit_price": rng.integers(100, 9000, len(days)) / 100,
        }
    )
    returned = bought.sample(frac=0.05, random_state=seed).assign(event_type="return")
    returned["event_at"] += pd.Timedelta(days=2)
    looked = pd.DataFrame(
        {
            "event_at": pd.to_datetime([START, date(2023, 6, 1)]),
            "customer_id": ["x1", "x2"],
            "event_type": "visit",
        }
    )
    return pd.concat([bought, returned, looked], ignore_index=True)


def fill(connection: Connection, project: Project, events: pd.DataFrame) -> None:
    """Make the raw tables with these events in them, each known from its own instant on."""
    connection.execute("create schema if not exists raw")
    create_tables(connection, read_contract(project).values())
    numbered = events.assign(
        event_id=[f"e{n}" for n in range(len(events))], known_at=events["event_at"], deleted=False
    )
    connection.load_frame("raw.given", numbered)
    connection.execute("delete from raw.events")
    connection.execute(
        "insert into raw.events by name select *, 1 as exchange_rate, "
        "cast(quantity * unit_price as decimal(18, 4)) as line_amount from raw.given"
    )


def snapshots(
    connection: Connection,
    project: Project,
    models: Sequence[str],
    as_ofs: Sequence[datetime],
    schema: str = "s",
) -> dict[str, str]:
    """Build models at each as_of into one schema: snapshots stand beside each other."""
    built: dict[str, str] = {}
    for as_of in as_ofs:
        built = build(connection, project, models, schema, {}, as_of=as_of, start=START)
    return built
