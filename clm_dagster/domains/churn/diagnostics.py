"""Looks at one candidate beside its metrics: what it leans on, and what more history gave it. Pure.

Belongs here: permutation importance and learning curves, as tables. Does not: plots, attributions of single
customers (`attribution`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from clm_dagster.domains.churn.candidates import SEED, Candidate, fitted, log_odds
from clm_dagster.domains.churn.plan import Prepared
from clm_dagster.statistics.evaluation import TimeSplit, fast_auc, fast_log_loss, shifted_to_mean

ROWS = 5000


def importance(model: Any, x: pd.DataFrame, labels: np.ndarray, repeats: int = 10) -> pd.DataFrame:
    """How much AUC a fitted candidate loses when one column is shuffled (Breiman 2001), on at most ROWS rows.

    One row for each column, the most needed first: feature, importance (mean loss of AUC), low and high, the 95%
    interval of the mean over `repeats` shuffles. Columns that say the same thing share it between them. All
    shuffles of a column are told in one call: most of a call's time is not the rows'.
    """
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.permutation(len(x))[:ROWS])
    frame, y = x.iloc[rows].reset_index(drop=True), labels[rows].astype(float)
    whole = fast_auc(y, log_odds(model, frame))
    shuffles = np.concatenate([rng.permutation(len(y)) for _ in range(repeats)])
    stacked = pd.concat([frame] * repeats, ignore_index=True)
    records = []
    for name in frame.columns:
        shuffled = stacked.assign(**{name: frame[name].to_numpy()[shuffles]})
        told = log_odds(model, shuffled).reshape(repeats, len(y))
        losses = np.array([whole - fast_auc(y, z) for z in told])
        half = student.ppf(0.975, repeats - 1) * losses.std(ddof=1) / np.sqrt(repeats)
        records.append((name, losses.mean(), losses.mean() - half, losses.mean() + half))
    table = pd.DataFrame(records, columns=["feature", "importance", "low", "high"])
    return table.sort_values(["importance", "feature"], ascending=[False, True], ignore_index=True)


def learning_curve(
    entry: Candidate, parameters: Mapping[str, Any], given: Prepared, split: TimeSplit
) -> pd.DataFrame:
    """Fit on the newest 1, 2, 4, ... and all snapshots of the fit part, and judge each on validation.

    One row for each: snapshots, rows, and roc_auc and log_loss, means over the validation snapshots, each at its
    own level.
    """
    rows = []
    counts = {2**k for k in range(len(split.fit)) if 2**k < len(split.fit)} | {len(split.fit)}
    for count in sorted(counts):
        days = split.fit[-count:]
        y = np.concatenate([given.y[day] for day in days])
        numbers = np.repeat(np.arange(count), [len(given.y[day]) for day in days])
        x = pd.concat([given.x[day] for day in days], ignore_index=True)
        model = fitted(entry, given.columns, parameters, x, y, numbers)
        told = [(given.y[day], log_odds(model, given.x[day])) for day in split.validation]
        rows.append(
            {
                "snapshots": count,
                "rows": len(y),
                "roc_auc": float(np.mean([fast_auc(y, z) for y, z in told])),
                "log_loss": float(np.mean([fast_log_loss(y, shifted_to_mean(z, y.mean())) for y, z in told])),
            }
        )
    return pd.DataFrame(rows)
