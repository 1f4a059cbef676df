"""The figures of demand's bands and weekly forecasts as tables.

Belongs here: words and rounding of `demand_coverage` and `demand_weeks`. Does not: measuring, other parts (`report`).
"""

from typing import Any

from rich.table import Table

COVERAGE = (
    "pit_50",
    "pit_80",
    "pit_95",
    "plain_80",
    "plain_95",
    "below_median",
    "mean_bias",
    "served_7",
    "stock_7",
    "served_28",
    "stock_28",
)
WEEKS = ("mase", "coverage_80", "coverage_95", "seconds")


def coverage(found: dict[str, Any]) -> Table:
    """Return a row for each shop, level, period and days of history."""
    names = [name.replace("_", "\n") for name in COVERAGE]
    table = Table("shop", "level", "period", "days", *names, title="Bands of series without a backtest")
    for row in found["rows"]:
        figures = [
            f"{row[name]:.3f}" if row.get(name) is not None and row[name] == row[name] else ""
            for name in COVERAGE
        ]
        table.add_row(row["shop"], row["level"], row["period"], str(row["days"]), *figures)
    return table


def weeks(found: dict[str, Any]) -> Table:
    """Return a row for each set of series and side."""
    table = Table("series", "side", *WEEKS, title="Weekly series, 8 weeks ahead, seconds of one thread")
    for name, sides in found.items():
        if isinstance(sides, dict):
            for side, figures in sides.items():
                table.add_row(name, side, *(f"{figures[key]:.3f}" for key in WEEKS))
    return table
