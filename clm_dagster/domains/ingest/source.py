"""One shop's source as the assets, the plan and the command line see it.

Belongs here: which days need loading, and which they are. Does not: how (`loading`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from clm_dagster.domains.ingest.adapter import Adapter, load_adapter
from clm_dagster.domains.ingest.contract import ContractTable, read_contract
from clm_dagster.domains.ingest.landing import Delivery, Landing
from clm_dagster.domains.ingest.loading import Days, ShopDates
from clm_dagster.platform.build_ledger.versions import Builds, Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import days_between, span
from clm_dagster.settings import Settings

UNDATED = "undated"


@dataclass(frozen=True)
class ShopSource:
    """The adapter, the contract and the landing area that the settings name."""

    settings: Settings
    contract: dict[str, ContractTable]
    adapter: Adapter
    landing: Landing

    @classmethod
    def open(cls, settings: Settings, project: Project) -> "ShopSource":
        """Read the adapter. Raise InputError, ProjectError."""
        contract = read_contract(project)
        adapter = load_adapter(settings.adapter_dir, contract, project.renderer, settings.timezone)
        return cls(settings, contract, adapter, Landing(settings.landing_dir))

    @property
    def dates(self) -> ShopDates:
        """The dates outside which a row is rejected."""
        return ShopDates(self.settings.start_date, self.settings.end_date)

    def days(self, deliveries: Sequence[Delivery]) -> list[date]:
        """Every daily partition from the first to the last that can hold a row."""
        start, end = span(self.settings)
        last = end or data_end(deliveries) or start
        return days_between(start, last)

    def outside(self, deliveries: Sequence[Delivery]) -> Days:
        """What lies in no daily partition: rows without a readable date, or outside the dates."""
        start, end = span(self.settings)
        return Days(start, end or data_end(deliveries) or start, undated=True)

    def pending(self, builds: Builds, deliveries: Sequence[Delivery], table: str) -> list[str]:
        """Keys of a table (days, and `undated`) whose landed rows are not what is loaded."""
        expected = self.input_versions(deliveries, table)
        return [
            key for key, version in expected.items() if builds.stored(landed_relation(table), key) != version
        ]

    def input_versions(self, deliveries: Sequence[Delivery], table: str) -> dict[str, Version]:
        """For each key, the version of what loading it reads: code, dates, deliveries.

        A delivery has an order of its own to come in, not one of loading: ids are sorted.
        """
        if table not in self.adapter.tables:
            return {UNDATED: Version("none")}
        code = f"{self.adapter.code_version(table)} {self.dates}"
        outside = self.outside(deliveries)
        touching: dict[str, list[str]] = {UNDATED: []}
        if self.contract[table].time:
            touching |= {day.isoformat(): [] for day in self.days(deliveries)}
        for delivery in deliveries:
            if table not in delivery.tables:
                continue
            landed = delivery.tables[table]
            for key in landed.days:
                parsed = date.fromisoformat(key) if key else None
                slot = key if self.contract[table].time and not outside.holds(parsed) else UNDATED
                touching[slot].append(f"{delivery.delivery_id} {landed.landing_version} {key}")
        return {
            key: Version(hashlib.sha256("\n".join([code, *sorted(found)]).encode()).hexdigest()[:32])
            for key, found in touching.items()
        }


@dataclass(frozen=True)
class LandedFiles:
    """What of a source has landed, as planning looks at it (`build_ledger.staleness.Landed`)."""

    source: ShopSource
    deliveries: Sequence[Delivery]

    @classmethod
    def read(cls, source: ShopSource) -> "LandedFiles":
        """Read the landing area once."""
        return cls(source, source.landing.deliveries())

    def day_keys(self) -> list[str]:
        """Every daily partition, in order, from the first to the last that can hold a row."""
        return [day.isoformat() for day in self.source.days(self.deliveries)]

    def pending_days(self, builds: Builds) -> list[str]:
        """The days whose events are not loaded as they are landed."""
        days = set(self.day_keys())
        return [key for key in self.source.pending(builds, self.deliveries, "events") if key in days]

    def has_pending_tables(self, builds: Builds) -> bool:
        """Whether something that lies in no daily partition waits to be loaded."""
        return any(
            table != "events" or key == UNDATED
            for table in self.source.contract
            for key in self.source.pending(builds, self.deliveries, table)
        )


def landed_relation(table: str) -> str:
    """The name in the ledger of builds under which the inputs of a raw table are kept."""
    return f"landing.{table}"


def data_end(deliveries: Sequence[Delivery]) -> date | None:
    """The exclusive end of the days that an open shop's deliveries can speak of."""
    ends = [datetime.fromisoformat(d.landed_at).date() + timedelta(days=1) for d in deliveries]
    return max(ends, default=None)
