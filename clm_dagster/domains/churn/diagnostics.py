"""Diagnostics of one candidate: permutation importance and learning curve.

Belongs here: pure functions that return tables. Does not belong here: plots (`mlflow_plots`), attributions for single
customers (`attribution`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from clm_dagster.domains.churn.candidates import SEED, Candidate, fit_candidate, log_odds
from clm_dagster.domains.churn.plan import EvaluationInputs
from clm_dagster.statistics.evaluation import TimeSplit, fast_auc, fast_log_loss, shifted_to_mean

ROWS = 5000


def importance(model: Any, x: pd.DataFrame, labels: np.ndarray, repeats: int = 10) -> pd.DataFrame:
    """Return the loss of AUC when one column is shuffled (Breiman 2001), measured on at most ROWS rows.

    One row for each column, the most important first: feature, importance (mean loss of AUC), low and high (95%
    interval of the mean over `repeats` shuffles). Redundant columns share their importance. All shuffles of a column
    are predicted in one call, because the overhead of a call exceeds the cost of its rows.
    """
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.permutation(len(x))[:ROWS])
    frame, y = x.iloc[rows].reset_index(drop=True), labels[rows].astype(float)
    auc = fast_auc(y, log_odds(model, frame))
    shuffles = np.concatenate([rng.permutation(len(y)) for _ in range(repeats)])
    stacked = pd.concat([frame] * repeats, ignore_index=True)
    records = []
    for name in frame.columns:
        shuffled = stacked.assign(**{name: frame[name].to_numpy()[shuffles]})
        scores = log_odds(model, shuffled).reshape(repeats, len(y))
        losses = np.array([auc - fast_auc(y, z) for z in scores])
        half = student.ppf(0.975, repeats - 1) * losses.std(ddof=1) / np.sqrt(repeats)
        records.append((name, losses.mean(), losses.mean() - half, losses.mean() + half))
    table = pd.DataFrame(records, columns=["feature", "importance", "low", "high"])
    return table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)


def learning_curve(
    candidate: Candidate, parameters: Mapping[str, Any], inputs: EvaluationInputs, split: TimeSplit
) -> pd.DataFrame:
    """Fit on the newest 1, 2, 4, ... and all fit snapshots, and evaluate each on validation.

    One row for each: snapshots, rows, roc_auc and log_loss. The metrics are means over the validation snapshots, each
    at its own base rate.
    """
    rows = []
    counts = {2**k for k in range(len(split.fit)) if 2**k < len(split.fit)} | {len(split.fit)}
    for count in sorted(counts):
        days = split.fit[-count:]
        y = np.concatenate([inputs.y[day] for day in days])
        snapshots = np.repeat(np.arange(count), [len(inputs.y[day]) for day in days])
        x = pd.concat([inputs.x[day] for day in days], ignore_index=True)
        model = fit_candidate(candidate, inputs.columns, parameters, x, y, snapshots)
        scores = [(inputs.y[day], log_odds(model, inputs.x[day])) for day in split.validation]
        rows.append(
            {
                "snapshots": count,
                "rows": len(y),
                "roc_auc": float(np.mean([fast_auc(y, z) for y, z in scores])),
                "log_loss": float(
                    np.mean([fast_log_loss(y, shifted_to_mean(z, y.mean())) for y, z in scores])
                ),
            }
        )
    return pd.DataFrame(rows)
