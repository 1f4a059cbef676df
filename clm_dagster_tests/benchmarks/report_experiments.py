"""The figures of `experiments` as a table.

Belongs here: words and rounding. Does not: measuring, other parts (`report`).
"""

from typing import Any

from rich.table import Table

FIGURES = ("anytime_wrong", "fixed_wrong_daily", "fixed_wrong_once", "width", "not_enough")


def intervals(found: dict[str, Any]) -> Table:
    """Return a row for each kind of experiment."""
    title = f"{found['experiments']:,} experiments of each kind, looked at on {found['days']} days"
    table = Table("experiments", *(name.replace("_", "\n") for name in FIGURES), title=title)
    for row in found["rows"]:
        table.add_row(row["scenario"], *(f"{row[name]:.3f}" for name in FIGURES))
    return table
