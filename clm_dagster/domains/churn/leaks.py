"""Columns that know the label. Pure: frames in, sentences out."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.evaluation import fast_auc


def leaky_columns(features: pd.DataFrame, labels: NDArray[np.float64], limit: float) -> tuple[str, ...]:
    """A sentence for every numeric column that alone ranks the labels better than AUC `limit`, either way round.

    Every column of the frame is looked at, those that no model uses too: a label made of one of them, such as
    `recency_days > 90`, is a leak even where the column itself is left out. A column that is missing for
    some is looked at where it is there, and its being missing is looked at as well.
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
