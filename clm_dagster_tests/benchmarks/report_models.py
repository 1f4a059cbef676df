"""The figures of LightGBM's candidates and of the turnover of scores as tables.

Belongs here: words and rounding of `lightgbm_candidates` and `score_turnover`. Does not: measuring, other parts
(`report`).
"""

from typing import Any

from rich.table import Table

TURNOVER = ("left", "without_event", "at_trainings", "between", "auc", "log_loss", "calibration_error")


def candidates(found: dict[str, Any]) -> Table:
    """Return a row for each shop, model, test date and candidate."""
    table = Table(
        "shop", "model", "test", "candidate", "metrics", "s", title="LightGBM beside other candidates"
    )
    for shop, result in found.items():
        for row in result["rows"]:
            metrics = ", ".join(f"{name} {value:.4f}" for name, value in row["metrics"].items())
            name = f"{row['candidate']}{' (wins)' if row['is_winner'] else ''}"
            table.add_row(shop, row["model"], row["test"], name, metrics, f"{row['seconds']:.1f}")
    return table


def turnover(found: dict[str, Any]) -> Table:
    """Return a row for each shop and mean of trainings."""
    names = [name.replace("_", "\n") for name in TURNOVER]
    table = Table(
        "shop", "weeks", "mean of", *names, title="Weekly turnover of the top decile of churn scores"
    )
    for shop, result in found.items():
        for row in result["rows"]:
            table.add_row(
                shop, str(result["weeks"]), row["method"], *(f"{row[name]:.4f}" for name in TURNOVER)
            )
    return table
