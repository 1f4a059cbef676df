"""A plan for a shop of any size: processor hours, memory, disk and money, from costs of steps and prices.

Belongs here: pure arithmetic, and reading its inputs. Does not: the costs (`scale_costs`), output (`report_scale`).
Prices and assumptions are in `scale_inputs.json`, each with its source.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clm_dagster_tests.benchmarks.scale_costs import Cost, Size, total

INPUTS = Path(__file__).with_name("scale_inputs.json")
# Phases that run every day; the others run every week.
DAILY = ("day",)


@dataclass(frozen=True)
class Inputs:
    """Prices and assumptions.

    memory_gb, hourly: of one machine. processor_ratio: seconds of the planned machine's processor for one of the
    measuring machine. busy_cores: how many of its cores each phase keeps busy. snapshots_kept: stored snapshots.
    lists: processor seconds of everybody's recommendations. disk_mb_second: throughput of the disk.
    """

    size: Size
    snapshots_kept: int
    memory_gb: float
    hourly: float
    object_gb_month: float
    disk_gb_month: float
    catalogue_hourly: float
    processor_ratio: float
    busy_cores: Mapping[str, float]
    days_a_month: float
    weeks_a_month: float
    lists: Cost
    disk_mb_second: float

    @classmethod
    def read(cls, path: Path = INPUTS) -> "Inputs":
        """Read them from a file. Raise KeyError for one that is missing."""
        found: dict[str, Any] = json.loads(path.read_text())
        shop, machine = found["shop"], found["machine"]
        return cls(
            Size(shop["events"], shop["customers"]),
            shop["snapshots_kept"],
            machine["memory_gb"],
            machine["hourly"],
            found["object_storage"]["gb_month"],
            found["disk"]["gb_month"],
            found["catalogue"]["hourly"],
            found["processor_ratio"],
            {name: cores for name, cores in found["busy_cores"].items() if name != "source"},
            found["days_a_month"],
            found["weeks_a_month"],
            Cost(0.0, 0.0, found["lists"]["seconds_per_million_customers"]),
            found["disk"]["mb_per_second"],
        )


@dataclass(frozen=True)
class PhasePlan:
    """One phase at the planned size.

    processor_hours: of one run. hours: of one run on one machine. peak_gb: of one process that does all of it.
    monthly: money for its machine hours in a month. first, second: its costliest steps with their processor hours.
    """

    name: str
    processor_hours: float
    hours: float
    peak_gb: float
    monthly: float
    first: tuple[str, float]
    second: tuple[str, float]


@dataclass(frozen=True)
class Plan:
    """The plan of all phases, and of storage.

    fits: whether the largest peak fits into one machine's memory. copy_hours: of copying the whole warehouse once, as
    every publication of one file does.
    """

    phases: tuple[PhasePlan, ...]
    stored_gb: float
    storage_monthly: float
    catalogue_monthly: float
    fits: bool
    copy_hours: float

    @property
    def monthly(self) -> float:
        """Money for a month of everything."""
        return sum(phase.monthly for phase in self.phases) + self.storage_monthly + self.catalogue_monthly


def plan(
    steps: Mapping[str, Mapping[str, Cost]],
    peaks_mb: Mapping[str, Cost],
    warehouse_mb: Cost,
    snapshot_mb: Cost,
    inputs: Inputs,
) -> Plan:
    """Return the plan.

    steps: processor seconds of each step, by phase. peaks_mb: peak memory by phase. warehouse_mb: size of the warehouse
    without snapshots. snapshot_mb: of one stored snapshot.
    """
    phases = tuple(_phase(name, costs, peaks_mb[name], inputs) for name, costs in steps.items())
    stored = warehouse_mb.at(inputs.size) + inputs.snapshots_kept * snapshot_mb.at(inputs.size)
    stored_gb = stored / 1_000
    # The warehouse is kept in object storage, and a copy of it where it is worked on.
    storage = stored_gb * (inputs.object_gb_month + inputs.disk_gb_month)
    return Plan(
        phases,
        stored_gb,
        storage,
        inputs.catalogue_hourly * 24 * inputs.days_a_month,
        max(phase.peak_gb for phase in phases) <= inputs.memory_gb,
        stored / inputs.disk_mb_second / 3600,
    )


def _phase(name: str, costs: Mapping[str, Cost], peak_mb: Cost, inputs: Inputs) -> PhasePlan:
    seconds = {step: cost.at(inputs.size) * inputs.processor_ratio for step, cost in costs.items()}
    ranked = sorted(seconds, key=lambda step: -seconds[step])
    first, second = ((step, seconds[step] / 3600) for step in ranked[:2])
    processor_hours = total(costs.values()).at(inputs.size) * inputs.processor_ratio / 3600
    hours = processor_hours / inputs.busy_cores[name]
    runs = inputs.days_a_month if name in DAILY else inputs.weeks_a_month
    return PhasePlan(
        name,
        processor_hours,
        hours,
        peak_mb.at(inputs.size) / 1_000,
        hours * runs * inputs.hourly,
        first,
        second,
    )
