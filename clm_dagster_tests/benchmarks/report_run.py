"""The tables of whole commands and of regressions.

Belongs here: output. Does not: measuring (`whole_run`, `late_data`), comparing (`regressions`).
"""

from statistics import median
from typing import Any

from rich.table import Table

from clm_dagster_tests.benchmarks.regressions import Change

_STEPS_SHOWN = 15


def commands(found: dict[str, Any]) -> Table:
    """Return the medians of each command."""
    table = Table(
        "command", "wall s", "processor s", "until segments s", title="Commands on an empty folder, medians"
    )
    for name, figures in found.items():
        until = [seconds for seconds in figures["segments"] if seconds is not None]
        table.add_row(
            name,
            f"{median(figures['wall']):,.1f}",
            f"{median(figures['processor_seconds']):,.1f}",
            f"{median(until):,.1f}" if until else "",
        )
    return table


def steps(name: str, found: dict[str, Any]) -> Table:
    """Return the slowest steps of a command, with their peak memory."""
    table = Table("step", "s", "peak MB", title=f"Slowest steps of `{name}`")
    slowest = sorted(found["steps"].items(), key=lambda item: -item[1]["seconds"])
    for step, costs in slowest[:_STEPS_SHOWN]:
        table.add_row(step, f"{costs['seconds']:,.1f}", f"{costs['peak_mb']:,.0f}")
    return table


def late(found: dict[str, Any]) -> Table:
    """Return what late rows rebuild, beside the first load."""
    table = Table(
        "late",
        "rows",
        "processor s",
        "/ first load",
        "partitions",
        "/ first load",
        title="`clm run` after late rows",
    )
    for name, case in found.items():
        first, again = case["first"], case["again"]
        table.add_row(
            name,
            f"{case['rows']:,}",
            f"{again['processor_seconds']:,.1f}",
            f"{again['processor_seconds'] / first['processor_seconds']:.2f}",
            f"{again['partitions']:,}",
            f"{again['partitions'] / first['partitions']:.2f}",
        )
    return table


def changes(found: list[Change]) -> Table:
    """Return the figures that differ by more than noise."""
    table = Table("figure", "before", "now", "now / before", "noise", title="Changed by more than noise")
    for change in found:
        table.add_row(
            change.name,
            f"{change.before:,.3g}",
            f"{change.now:,.3g}",
            f"{change.ratio:.2f}",
            f"{change.noise:.2f}",
        )
    return table


def lake(found: dict[str, Any]) -> Table:
    """The loads of a year into a lake, by number of processes."""
    equal = "equal" if found["equal"] else "DIFFERENT"
    table = Table(
        "processes",
        "seconds",
        "as fast as one",
        "processor seconds",
        "repeated writes",
        title=f"A year in a lake: {found['events']:,} events, {found['cores']} cores, {found['tables']} tables {equal}",
    )
    first = found["loads"][0]["wall"]
    for load in found["loads"]:
        table.add_row(
            str(load["processes"]),
            f"{load['wall']:,.0f}",
            f"{first / load['wall']:.2f} times",
            f"{load['cpu']:,.0f}",
            str(load["repeated"]),
        )
    return table
