"""The figures of uplift models and of allocations as tables.

Belongs here: words and rounding of `uplift_hillstrom`, `allocation_scale`, `plan_scale`. Does not: measuring, other
parts (`report`).
"""

from typing import Any

from rich.table import Table


def uplift(found: dict[str, Any]) -> Table:
    """Return a row for each candidate, its difference to the plain learner by split, and the verdicts."""
    table = Table(
        "ranking",
        *(title for mail in found for title in (f"{mail} mail", "over plain")),
        title="Qini area per 10,000 customers, mean ± standard deviation of five 50/50 splits",
        caption="\n".join(_judged(mail, one) for mail, one in found.items()),
    )
    for name in next(iter(found.values()))["areas"]:
        cells = []
        for one in found.values():
            (mean, deviation), (gain, spread) = one["areas"][name], one["over_plain_by_split"][name]
            cells += [f"{mean:.1f} ± {deviation:.1f}", f"{gain:+.1f} ± {spread:.1f}"]
        table.add_row(name, *cells)
    return table


def _judged(mail: str, one: dict[str, Any]) -> str:
    value, low, high = one["over_plain"]
    return (
        f"{mail}: selected {', '.join(one['winners'])}; {value:+.1f} [{low:+.1f}, {high:+.1f}] over the plain learner. "
        f"{one['verdict']}"
    )


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
