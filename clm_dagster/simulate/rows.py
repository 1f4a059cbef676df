"""Tables as dicts of equally long arrays, which cost a tenth of a DataFrame for a small day.

Belongs here: the few operations the simulation needs on them. Does not: knowledge of any column.
"""

from collections.abc import Sequence

import numpy as np

Rows = dict[str, np.ndarray]


def size(rows: Rows) -> int:
    """Return the number of rows."""
    return len(next(iter(rows.values()))) if rows else 0


def take(rows: Rows, which: np.ndarray) -> Rows:
    """Return the rows selected by a boolean mask or by row numbers."""
    return {name: values[which] for name, values in rows.items()}


def stack(parts: Sequence[Rows]) -> Rows:
    """Concatenate parts with the same columns; return no columns if there are no parts."""
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def numbered(rows: Rows) -> Rows:
    """Return the rows with a column `row` that numbers them from 0."""
    return rows | {"row": np.arange(size(rows), dtype=np.int32)}
