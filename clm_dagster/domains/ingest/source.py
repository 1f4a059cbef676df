"""The source of a shop: its adapter, contract and landing area.

Belongs here: which days exist, and which have to be loaded. Does not: loading (`loading`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from clm_dagster.domains.ingest.adapter import Adapter, load_adapter
from clm_dagster.domains.ingest.contract import ContractTable, read_contract
from clm_dagster.domains.ingest.landing import Delivery, Landing
from clm_dagster.domains.ingest.loading import Days, ShopDates
from clm_dagster.domains.ingest.lookups import stored_lookups, version_of
from clm_dagster.platform.build_ledger.versions import Builds, Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import days_between, parse_day, span
from clm_dagster.settings import Settings

UNDATED = "undated"
EXCHANGE_RATES = "exchange_rates"


@dataclass(frozen=True)
class ShopSource:
    """The adapter, the contract and the landing area of the configured source."""

    settings: Settings
    contract: dict[str, ContractTable]
    adapter: Adapter
    landing: Landing

    @classmethod
    def open(cls, settings: Settings, project: Project) -> "ShopSource":
        """Read the adapter. Raise InputError, ProjectError."""
        contract = read_contract(project)
        adapter = load_adapter(
            settings.adapter_dir, contract, project.renderer, settings.timezone, settings.guest_ids
        )
        return cls(settings, contract, adapter, Landing(settings.landing_dir))

    @property
    def dates(self) -> ShopDates:
        """The shop's start and end date; rows outside are rejected."""
        return ShopDates(self.settings.start_date, self.settings.end_date)

    def days(self, deliveries: Sequence[Delivery]) -> list[date]:
        """Return every daily partition that can have rows."""
        start, end = span(self.settings)
        last = end or landing_end(deliveries) or start
        return days_between(start, last)

    def outside(self, deliveries: Sequence[Delivery]) -> Days:
        """Return what is outside of all daily partitions: rows without a readable date or outside the dates."""
        start, end = span(self.settings)
        return Days(start, end or landing_end(deliveries) or start, undated=True)

    def pending(self, builds: Builds, deliveries: Sequence[Delivery], table: str) -> list[str]:
        """Return the keys of a table (days, and `undated`) whose landed rows differ from the loaded ones."""
        expected = self.input_versions(deliveries, table)
        return [
            key for key, version in expected.items() if builds.stored(landed_relation(table), key) != version
        ]

    def input_versions(self, deliveries: Sequence[Delivery], table: str) -> dict[str, Version]:
        """Return the version of the inputs of each key: code, dates, deliveries.

        Deliveries are sorted, so the version does not depend on the order of landing.
        """
        if table not in self.adapter.tables:
            return {UNDATED: Version("none")}
        code = f"{self.adapter.code_version(table)} {self.dates} {self.settings.currency}"
        rates = EXCHANGE_RATES if table == "events" and EXCHANGE_RATES in self.adapter.tables else ""
        if rates:
            code += f" {self.adapter.code_version(rates)}"
        # A day of events is converted with the rates of the day.
        feeds = [feed.name for name in (table, rates) if name for feed in self.adapter.tables[name]]
        stored = stored_lookups(self.landing.folder)
        joined = {feed: version_of(self.adapter, feed, stored) for feed in feeds}
        outside = self.outside(deliveries)
        touching: dict[str, list[str]] = {UNDATED: []}
        if self.contract[table].time:
            touching |= {day.isoformat(): [] for day in self.days(deliveries)}
        for delivery in deliveries:
            for feed in feeds:
                if feed not in delivery.tables:
                    continue
                landed = delivery.tables[feed]
                for key in landed.days:
                    parsed = date.fromisoformat(key) if key else None
                    slot = key if self.contract[table].time and not outside.contains(parsed) else UNDATED
                    version = f"{landed.landing_version}{joined[feed]}"
                    touching[slot].append(f"{delivery.delivery_id} {feed} {version} {key}")
        return {
            key: Version(hashlib.sha256("\n".join([code, *sorted(found)]).encode()).hexdigest()[:32])
            for key, found in touching.items()
        }


@dataclass(frozen=True)
class LandedFiles:
    """The landed files of a source for planning; implements `build_ledger.staleness.Landed`."""

    source: ShopSource
    deliveries: Sequence[Delivery]

    @classmethod
    def read(cls, source: ShopSource) -> "LandedFiles":
        """Read the landing area once."""
        return cls(source, source.landing.deliveries())

    def day_keys(self) -> list[str]:
        """Return every daily partition that can have rows, in order."""
        return [day.isoformat() for day in self.source.days(self.deliveries)]

    def data_end(self) -> date | None:
        """Return the exclusive end of the days with landed events; None where there are none."""
        days = set(self.day_keys())
        found = [key for d in self.deliveries for feed in d.of_table("events").values() for key in feed.days]
        last = max((key for key in found if key in days), default=None)
        return parse_day(last) + timedelta(days=1) if last else None

    def pending_days(self, builds: Builds) -> list[str]:
        """Return the days whose landed events are not loaded yet."""
        days = set(self.day_keys())
        return [key for key in self.source.pending(builds, self.deliveries, "events") if key in days]

    def has_pending_tables(self, builds: Builds) -> bool:
        """Whether landed rows outside the daily partitions are not loaded yet."""
        return any(
            table != "events" or key == UNDATED
            for table in self.source.contract
            for key in self.source.pending(builds, self.deliveries, table)
        )

    def day_version(self, key: str) -> str:
        """Return the version of the landed events of a day; empty for a day that cannot have rows yet."""
        version = self.source.input_versions(self.deliveries, "events").get(key)
        return version.hash if version else ""


def landed_relation(table: str) -> str:
    """Return the name of the inputs of a raw table in the build ledger."""
    return f"landing.{table}"


def landing_end(deliveries: Sequence[Delivery]) -> date | None:
    """Return the exclusive end of the days of an open shop: the day after the last landing; None without any."""
    ends = [datetime.fromisoformat(d.landed_at).date() + timedelta(days=1) for d in deliveries]
    return max(ends, default=None)


def consecutive(keys: Sequence[str]) -> list[list[str]]:
    """Group consecutive days; `undated` is a group of its own."""
    ranges: list[list[str]] = []
    for key in keys:
        if key != UNDATED and ranges and ranges[-1] != [UNDATED]:
            gap = parse_day(key) - parse_day(ranges[-1][-1])
            if gap.days == 1:
                ranges[-1].append(key)
                continue
        ranges.append([key])
    return ranges
