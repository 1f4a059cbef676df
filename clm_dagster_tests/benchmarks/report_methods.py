"""The figures of our statistics beside their peers, as tables.

Belongs here: words and rounding of `method_peers`. Does not: measuring, other parts (`report`).
"""

from typing import Any

import numpy as np
from rich.table import Table


def tables(found: dict[str, Any]) -> list[Table]:
    """Return a table of the itemsets, one of the ARIMA searches and one of Theta."""
    return [_itemsets(found["itemsets"]), _arima(found["forecasts"]), _theta(found["forecasts"])]


def _itemsets(found: dict[str, Any]) -> Table:
    same = "the same" if found["same"] else "NOT the same"
    title = f"{found['itemsets']:,} itemsets of {found['baskets']:,} baskets, {same} from both; seconds"
    table = Table("ours", "mlxtend fpgrowth", "ratio", title=title)
    ratio = found["peer"] / found["ours"]
    table.add_row(f"{found['ours']:.2f}", f"{found['peer']:.2f}", f"{ratio:.1f}")
    return table


def _arima(sets: dict[str, list[dict[str, Any]]]) -> Table:
    """AICc is compared where both chose the same differences: otherwise the likelihoods are of other data."""
    table = Table(
        "series",
        "number",
        "same\ndifferences",
        "AICc above theirs\nmedian / worst",
        "AICc at most\n2 above",
        "MASE\nours / theirs",
        "in the 80% band\nours / theirs",
        "seconds a series\nours / theirs",
        title="ARIMA beside statsforecast's AutoARIMA, 28 days ahead",
    )
    for name, rows in sets.items():
        above = np.array([row["aicc_above_peer"] for row in rows if row["same_differences"]])
        table.add_row(
            name,
            str(len(rows)),
            str(above.size),
            f"{np.median(above):.2f} / {above.max():.1f}",
            f"{(above <= 2).sum()} of {above.size}",
            _means(rows, "mase", 3),
            _means(rows, "covered", 2),
            _means(rows, "seconds", 2),
        )
    return table


def _theta(sets: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table(
        "series",
        "MASE\nours / theirs",
        "seconds a series\nours / theirs",
        title="Theta beside statsforecast's, each with its own smoothing constant",
    )
    for name, rows in sets.items():
        table.add_row(name, _means(rows, "theta_mase", 3), _means(rows, "theta_seconds", 3))
    return table


def _means(rows: list[dict[str, Any]], name: str, digits: int) -> str:
    return " / ".join(f"{np.mean([row[key] for row in rows]):.{digits}f}" for key in (name, f"peer_{name}"))
