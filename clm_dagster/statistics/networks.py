"""Fitting scikit-learn's networks.

Belongs here: parameters that depend on the number of rows. Does not: architectures (the domains).
"""

from typing import Any


def fit_batches(estimator: Any, rows: int, largest: int) -> None:
    """Set the batch size of a network, also inside a pipeline, to `largest`, or to the rows where there are fewer.

    scikit-learn does the same, with a warning. Other estimators are left as they are.
    """
    for name in ("batch_size", "model__batch_size"):
        if name in estimator.get_params():
            estimator.set_params(**{name: min(largest, rows)})
