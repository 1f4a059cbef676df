"""Tables of unit costs, their check, the plan for a large shop, and learning curves.

Belongs here: output. Does not: measuring (`scale`, `learning`), the plan (`scale_plan`).
"""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from clm_dagster_tests.benchmarks.scale_costs import Cost, Size, total

# Steps that a table of a phase names; the others are one row.
_SHOWN = 6


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """Yield the measured sizes, costs by phase, their checks, and the plan."""
    yield _measured(found["measured"])
    size = Size(**found["inputs"]["size"])
    for phase, steps in found["steps"].items():
        yield _costs(phase, {name: Cost(**cost) for name, cost in steps.items()}, size)
    for check in found["checks"]:
        yield _check(check)
    yield _plan(found["plan"], found["inputs"])


def _measured(measured: dict[str, Any]) -> Table:
    table = Table("events", "customers", "phase", "processor s", "clock s", "peak MB", title="Measured shops")
    for shop in measured["shops"]:
        for phase, one in shop["phases"].items():
            table.add_row(
                f"{shop['events']:,}",
                f"{shop['customers']:,}",
                phase,
                f"{sum(one['steps'].values()):,.1f}",
                f"{one['wall']:,.0f}",
                f"{one['peak_mb']:,.0f}",
            )
    return table


def _costs(phase: str, costs: dict[str, Cost], size: Size) -> Table:
    """Return processor seconds of the costliest steps of a phase at the planned size, and of all."""
    table = Table(
        "step",
        "fixed",
        "per million events",
        "per million customers",
        f"at {size.events:,.0f} events",
        title=f"Processor seconds of one {phase}",
    )
    ranked = sorted(costs, key=lambda name: -costs[name].at(size))
    rows = {name: costs[name] for name in ranked[:_SHOWN]}
    rows["other steps"] = total(costs[name] for name in ranked[_SHOWN:])
    rows["all"] = total(costs.values())
    for name, cost in rows.items():
        parts = (cost.fixed, cost.per_million_events, cost.per_million_customers)
        table.add_row(name, *(f"{part:,.2f}" for part in parts), f"{cost.at(size):,.0f}")
    return table


def _check(check: dict[str, Any]) -> Table:
    """Return predictions at a size that the fit has not seen, beside what was measured there."""
    size = check["size"]
    table = Table(
        "what",
        "predicted",
        "measured",
        "error",
        title=f"Prediction for {size['events']:,.0f} events, {size['customers']:,.0f} customers",
    )
    rows = {f"processor s of one {phase}": steps["all"] for phase, steps in check["phases"].items()}
    rows |= {f"peak MB of one {phase}": one for phase, one in check["peak_mb"].items()}
    rows |= {name.replace("_mb", ", MB"): one for name, one in check["disk_mb"].items()}
    for name, one in rows.items():
        error = f"{one['predicted'] / one['measured'] - 1:+.0%}" if one["measured"] else ""
        table.add_row(name, f"{one['predicted']:,.1f}", f"{one['measured']:,.1f}", error)
    return table


def _plan(plan: dict[str, Any], inputs: dict[str, Any]) -> Table:
    table = Table(
        "phase",
        "processor hours",
        "hours on one machine",
        "peak GB",
        "a month",
        "first",
        "second",
        title=f"{inputs['size']['events']:,.0f} events, {inputs['size']['customers']:,.0f} customers",
    )
    for phase in plan["phases"]:
        first, second = (f"{step} {hours:,.1f} h" for step, hours in (phase["first"], phase["second"]))
        table.add_row(
            phase["name"],
            f"{phase['processor_hours']:,.1f}",
            f"{phase['hours']:,.2f}",
            f"{phase['peak_gb']:,.0f}",
            f"{phase['monthly']:,.0f}",
            first,
            second,
        )
    table.add_row(
        "storage", "", "", f"{plan['stored_gb']:,.0f} stored", f"{plan['storage_monthly']:,.0f}", "", ""
    )
    table.add_row("publication", "", f"{plan['copy_hours']:,.2f} (disk)", "", "", "", "")
    table.add_row("catalogue", "", "", "", f"{plan['catalogue_monthly']:,.0f}", "", "")
    table.add_row("all", "", "", "", f"{plan['monthly']:,.0f}", "", "")
    return table


def learning(found: dict[str, Any]) -> Table:
    """Return both learning curves."""
    table = Table(
        "model",
        "metric",
        "customers",
        "value",
        "gain of the last doubling",
        title=f"Learning curves, {found['customers']:,} simulated customers",
    )
    for domain in ("churn", "value"):
        curve = found[domain]
        last = list(curve["values"])[-1]
        value, low, high = curve["gain"]
        for size, metric in curve["values"].items():
            gain = f"{value:+.4f} [{low:+.4f}, {high:+.4f}]" if size == last else ""
            table.add_row(domain, curve["metric"], f"{int(size):,}", f"{metric:.4f}", gain)
    return table
