"""The figures of uplift models and of allocations as tables.

Belongs here: words and rounding of `uplift_hillstrom`, `allocation_scale`, `plan_scale`. Does not: measuring, other
parts (`report`).
"""

from typing import Any

from rich.table import Table


def uplift(found: dict[str, Any]) -> Table:
    """Return a row for each candidate, and the verdicts."""
    verdicts = "\n".join(f"{mail}: {one['verdict']}" for mail, one in found.items())
    table = Table(
        "ranking",
        *(f"{mail} mail" for mail in found),
        title="Qini area per 10,000 customers, mean ± standard deviation of five 50/50 splits",
        caption=verdicts,
    )
    names = next(iter(found.values()))["areas"]
    for name in names:
        cells = [one["areas"][name] for one in found.values()]
        table.add_row(name, *(f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in cells))
    return table


def allocations(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each problem."""
    table = Table(
        "customers", "kind", "s", "peak MB", "value", "gap", "largest value", "binding", title="Allocations"
    )
    for row in rows:
        table.add_row(
            f"{row['customers']:,}",
            row["kind"],
            f"{row['seconds']:.1f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['value']:,.1f}",
            f"{row['gap']:.3f}",
            f"{row['largest_value']:.1f}",
            ", ".join(row["binding"]),
        )
    return table


def plans(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each plan of actions."""
    table = Table("customers", "offers", "planned", "s", "peak MB", "gap", title="Plans of actions")
    for row in rows:
        table.add_row(
            f"{row['customers']:,}",
            f"{row['offers']:,}",
            f"{row['planned']:,}",
            f"{row['seconds']:.1f}",
            f"{row['peak_mb']:,.0f}",
            f"{row['gap']:.2e}",
        )
    return table
