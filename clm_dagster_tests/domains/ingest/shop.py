"""A shop's ingestion without Dagster: write files, land them, load them, look at the raw tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from clm_dagster.domains.ingest.adapter import load_adapter
from clm_dagster.domains.ingest.checks import ledger_problems
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.day_loads import load_days
from clm_dagster.domains.ingest.landing import Landing, LandingResult
from clm_dagster.domains.ingest.loading import create_tables
from clm_dagster.domains.ingest.source import UNDATED, ShopSource, consecutive
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import load_settings

FIRST, LATER, LATEST = datetime(2024, 2, 1, 9), datetime(2024, 2, 2, 9), datetime(2024, 2, 3, 9)
HEADER = "event_id,event_at,customer_id,event_type,order_id,product_id,quantity,unit_price"
ONLINE_HEADER = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"


def line(event_id: str = "e1", event_at: str = "2024-01-05 10:00:00", **values: str) -> str:
    """One purchase as a CSV line under HEADER; keywords replace columns."""
    row = {
        "event_id": event_id,
        "event_at": event_at,
        "customer_id": "c1",
        "event_type": "purchase",
        "order_id": "o1",
        "product_id": "p1",
        "quantity": "2",
        "unit_price": "1.50",
    }
    return ",".join((row | values).values())


def csv_of(*lines: str, header: str = HEADER) -> str:
    return "\n".join((header, *lines)) + "\n"


class Shop:
    """One shop with its own folder and its own DuckDB in memory."""

    def __init__(self, folder: Path, project: Project, contract: Mapping[str, ContractTable], **given: Any):
        defaults = {
            "source": "generic",
            "input": str(folder / "inbox"),
            "data_dir": folder / "data",
            "start_date": "2024-01-01",
            "end_date": "2024-03-01",
        }
        self.settings = load_settings(**defaults | given)
        self.inbox = Path(self.settings.input)
        if "input" not in given:
            self.inbox.mkdir(parents=True, exist_ok=True)
        self.contract = dict(contract)
        adapter = load_adapter(
            self.settings.adapter_dir,
            self.contract,
            project.renderer,
            self.settings.timezone,
            self.settings.guest_ids,
        )
        self.source = ShopSource(self.settings, self.contract, adapter, Landing(self.settings.landing_dir))
        self.raw = duckdb.connect()
        self.connection = Connection(self.raw)
        self.connection.execute("create schema raw")
        create_tables(self.connection, self.contract.values())

    def write(self, name: str, content: str | bytes | pd.DataFrame) -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            if name.endswith(".parquet"):
                content.to_parquet(path, index=False)
            elif "jsonl" in name:
                content.to_json(path, orient="records", lines=True, force_ascii=False)
            else:
                content.to_csv(path, index=False)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def land(self, now: datetime = FIRST, given: str | None = None) -> LandingResult:
        return self.source.landing.land(given or self.settings.input, self.source.adapter, now)

    def pending(self, table: str = "events") -> list[str]:
        return self.source.pending(Builds.read(self.connection), self.source.landing.deliveries(), table)

    def load(self, table: str = "events", keys: Sequence[str] | None = None) -> None:
        """Load keys of a table, else all that is pending."""
        for some in consecutive(list(keys) if keys is not None else self.pending(table)):
            with self.connection.transaction():
                load_days(self.connection, self.source, self.source.landing.deliveries(), table, some, "run")

    def ingest(self, now: datetime = FIRST, tables: Sequence[str] = ("events",)) -> None:
        """Land what is new, load what is pending, see that the ledger balances."""
        self.land(now)
        for table in tables:
            self.load(table)
            assert self.pending(table) == []
            assert ledger_problems(self.connection, self.contract[table]) == []

    def all_keys(self) -> list[str]:
        days = self.source.days(self.source.landing.deliveries())
        return [day.isoformat() for day in days] + [UNDATED]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql)

    def table(self, relation: str, leave_out: str = "") -> list[tuple[Any, ...]]:
        columns = f"* exclude ({leave_out})" if leave_out else "*"
        return self.query(f"select {columns} from {relation} order by all")

    def counts(self, table: str = "events") -> tuple[int, ...]:
        """delivered, accepted, rejected, duplicate."""
        return self.query(
            "select sum(delivered)::int, sum(accepted)::int, sum(rejected)::int, sum(duplicate)::int "
            f"from raw.deliveries where contract_table = '{table}'"
        )[0]

    def reasons(self, table: str = "events") -> dict[str, int]:
        return dict(
            self.query(
                f"select reason, count(*) from raw.rejects where contract_table = '{table}' group by 1"
            )
        )
