"""Shops whose features and labels the project's own SQL makes: one simulated, two real.

Belongs here: their purchases, and what tests ask of them. Does not: fixtures (`conftest`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from clm_dagster.domains.churn.table_settings import EvaluationSettings
from clm_dagster.domains.ingest.contract import read_contract
from clm_dagster.domains.ingest.loading import create_tables
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR
from clm_dagster.statistics.evaluation import EvaluationPlan, evaluation_plan
from clm_dagster_tests.shops import reference_folder

UPSTREAM = ("customer_daily", "totals_daily", "stg_order_lines", "stg_customers", "identifiers_daily")


@dataclass
class Shop:
    """Purchases loaded into a warehouse in memory; features and labels at any as_of."""

    connection: Connection
    project: Project
    end: date

    @classmethod
    def load(
        cls, purchases: pd.DataFrame, start: date, end: date, horizon_days: int = 90, active_days: int = 365
    ) -> "Shop":
        """Load purchases: customer_id, event_at, order_id, product_id, unit_price, one row for each line."""
        project = load_project(
            PROJECT_DIR / "dbt_like_sql",
            start_date=str(start),
            churn_horizon_days=horizon_days,
            churn_active_days=active_days,
            value_horizon_days=horizon_days,
        )
        opened = duckdb.connect()
        connection = Connection(opened)
        connection.execute("create schema raw")
        create_tables(connection, read_contract(project).values())
        connection.load_frame("main.given", purchases.astype({"unit_price": str}))
        connection.execute(
            "insert into raw.events by name select 'e' || row_number() over () as event_id, 'purchase' as event_type, "
            "1 as quantity, 1 as exchange_rate, false as deleted, event_at as known_at, "
            "unit_price::decimal(18,4) as line_amount, "
            "* replace (unit_price::decimal(18,4) as unit_price) from main.given"
        )
        build(connection, project, UPSTREAM, "built", {}, start=start, end=end)
        return cls(connection, project, end)

    def tables(
        self, days: Iterable[date], name_of_labels: str = "churn_labels"
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return features and mature labels at these as_ofs."""
        given = {name: f"built.{name}" for name in UPSTREAM}
        features: list[pd.DataFrame] = []
        labels: list[pd.DataFrame] = []
        for day in days:
            built = build(
                self.connection,
                self.project,
                [name_of_labels],
                "scratch",
                given,
                as_of=datetime.combine(day, time.min),
            )
            for frames, name in ((features, "customer_features"), (labels, name_of_labels)):
                frames.append(
                    self.connection.frame(f"select * from {built[name]} where as_of = ?", [str(day)])
                )
        return pd.concat(features, ignore_index=True), pd.concat(labels, ignore_index=True)

    def evaluation(
        self, test: date, first_day: date, settings: EvaluationSettings
    ) -> tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]:
        """Return the features, labels and plan of an evaluation."""
        plan = evaluation_plan(test, first_day, settings)
        return *self.tables(plan.snapshots), plan


def simulated_purchases(seed: int = 1, customers: int = 700, days: int = 500) -> pd.DataFrame:
    """Simulate customers of BG/NBD: each has a purchase rate, and a probability to churn after each order."""
    rng = np.random.default_rng(seed)
    rate, dropout = rng.gamma(0.9, 1 / 35, customers), rng.beta(0.6, 4.0, customers)
    first = rng.integers(0, days - 60, customers).astype(float)
    first[: customers // 2] = rng.integers(0, 60, customers // 2)
    rows, at, alive = [], first, np.ones(customers, dtype=bool)
    while alive.any():
        who = np.flatnonzero(alive)
        rows.append(pd.DataFrame({"customer": who, "at": at[who]}))
        at = at + rng.exponential(1 / rate)
        alive &= (rng.random(customers) > dropout) & (at < days)
    frame = pd.concat(rows, ignore_index=True)
    start = pd.Timestamp("2023-01-01")
    return pd.DataFrame(
        {
            "customer_id": frame.customer.map("c{:04d}".format),
            "event_at": start + pd.to_timedelta(frame["at"].round(4), unit="D"),
            "order_id": [f"o{i}" for i in range(len(frame))],
            "product_id": [f"p{i}" for i in rng.integers(0, 40, len(frame))],
            "unit_price": np.round(rng.gamma(3, 10, len(frame)), 2),
            "country": rng.choice(["DE", "FR"], len(frame)),
        }
    )


SETTINGS = EvaluationSettings(horizon_days=60, snapshots=6, validations=2)
TEST = date(2024, 3, 1)
FIRST_DAY = date(2023, 1, 1)


def load_real_shop(name: str) -> Shop:
    """Load a real shop by its name; skip the test where the data are absent."""
    return {"cdnow": _cdnow, "online_retail_ii": _online_retail}[name](reference_folder())


def _cdnow(data: Path) -> Shop:
    master = pd.read_parquet(data / "cdnow" / "cdnow_master.parquet")
    purchases = pd.DataFrame(
        {
            "customer_id": master.customer_id,
            "event_at": pd.to_datetime(master.date, format="%Y%m%d"),
            "order_id": [f"o{i}" for i in range(len(master))],
            "product_id": "cd",
            "unit_price": master.dollar_value,
        }
    )
    return Shop.load(purchases, date(1997, 1, 1), date(1998, 7, 1), active_days=10_000)


def _online_retail(data: Path) -> Shop:
    """Load purchases by the adapter rules that matter here: no cancellation (C), a customer, a price."""
    lines = pd.read_csv(data / "online_retail_ii" / "online_retail_II.csv.gz", dtype=str).drop_duplicates()
    lines = lines[lines["Customer ID"].notna() & ~lines["Invoice"].str.startswith("C")]
    quantity, price = lines["Quantity"].astype(int), lines["Price"].astype(float)
    lines = lines[(quantity > 0) & (price > 0)]
    purchases = pd.DataFrame(
        {
            "customer_id": lines["Customer ID"].str.removesuffix(".0"),
            "event_at": pd.to_datetime(lines["InvoiceDate"]),
            "order_id": lines["Invoice"],
            "product_id": lines["StockCode"],
            "unit_price": (lines["Quantity"].astype(int) * lines["Price"].astype(float)).round(4),
            "country": lines["Country"],
        }
    )
    return Shop.load(purchases, date(2009, 12, 1), date(2011, 12, 10))
