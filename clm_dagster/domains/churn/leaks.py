"""Detection of columns that leak the label.

Belongs here: pure functions, frames in and sentences out. Does not belong here: the check that reports them (`checks`).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.evaluation import fast_auc


def leaky_columns(features: pd.DataFrame, labels: NDArray[np.float64], limit: float) -> tuple[str, ...]:
    """Return a sentence for every numeric column that alone ranks the labels with an AUC above `limit`.

    A reversed ranking counts as well. Columns that no model uses are tested too: a label computed from one of them,
    such as `recency_days > 90`, is a leak even if the column itself is left out. A column with missing values is tested
    twice: on the rows that have a value, and as a missing-value flag.
    """
    found = []
    for name in features.select_dtypes(["number", "bool"]).columns:
        values = features[name].to_numpy(float)
        present = ~np.isnan(values)
        tests = [(name, values[present], labels[present])]
        if 0 < present.sum() < len(present):
            tests.append((f"{name} being missing", (~present).astype(float), labels))
        for what, value, y in tests:
            if len(y) and y.min() < y.max():
                auc = fast_auc(y, value)
                if max(auc, 1 - auc) > limit:
                    found.append(
                        f"Suspected leak: {what} alone ranks the labels with an AUC of {max(auc, 1 - auc):.3f}, "
                        f"above the limit {limit:g}. A label must come from the days after as_of, a feature from "
                        "those before."
                    )
    return tuple(found)
