"""The effect of drift on churn scores, as churn probabilities.

Belongs here: how far scores move when features take the distribution of another snapshot. Does not belong here:
stability indices and statuses (`monitoring`), thresholds (`settings`).

All probabilities have the calibration of the model's test. The level of a scored snapshot is forecast separately
(`base_rate`), but a fault that shifts every score must have an effect here.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn.candidates import log_odds
from clm_dagster.domains.churn.feature_names import TOPICS
from clm_dagster.domains.churn.model import ChurnModel

Floats = NDArray[np.float64]
MAX_CUSTOMERS = 2000  # the standard error of a mean probability is then about half a point
_EXPECTED = "no_purchase_log_odds"


def sample(rows: pd.DataFrame) -> pd.DataFrame:
    """Return at most MAX_CUSTOMERS rows, evenly spaced, renumbered from 0."""
    if len(rows) > MAX_CUSTOMERS:
        rows = rows.iloc[_spread(len(rows), MAX_CUSTOMERS)]
    return rows.reset_index(drop=True)


def probabilities(model: ChurnModel, x: pd.DataFrame) -> Floats:
    """Return churn probabilities at the calibration of the test, shape (n,). x: n x the model's columns.

    Predictions use one thread: several threads slow each other down on a busy machine.
    """
    with threadpool_limits(limits=1):
        return model.calibration(log_odds(model.estimator, x))


def topic_effects(model: ChurnModel, rows: pd.DataFrame, target: pd.DataFrame) -> dict[str, float]:
    """Return for each topic how far scores move if its features take the distribution that they have in `target`.

    rows, target: the model's columns. All features of a topic are replaced together by `with_distribution_of`, because
    each of them covers for the others; the features of other topics stay. The effect is the mean absolute change of
    the probability of a customer of `rows`, from 0 to 1.
    """
    used = {topic: [name for name in names if name in model.columns] for topic, names in TOPICS.items()}
    used = {topic: names for topic, names in used.items() if names}
    changed = [
        rows.assign(**{name: with_distribution_of(rows[name], target[name]) for name in names})
        for names in used.values()
    ]
    # One prediction for all topics is faster than one for each.
    found = probabilities(model, pd.concat([rows, *changed], ignore_index=True)).reshape(-1, len(rows))
    return {
        topic: float(np.abs(after - found[0]).mean()) for topic, after in zip(used, found[1:], strict=True)
    }


def missing_effect(model: ChurnModel, rows: pd.DataFrame, target: pd.DataFrame) -> float:
    """Return how far scores move if as many values are missing as in `target`, in all features together.

    Values are dropped for the same customers in every feature, as they are when a source stops. A share of missing
    values that falls has no effect here. The effect is the mean absolute change of the probability, from 0 to 1.
    """
    place = _places(len(rows))
    changed = rows.copy()
    for name in model.columns:
        known = ~rows[name].isna().to_numpy()
        lost = float(target[name].isna().mean()) - float(1 - known.mean())
        if lost > 0 and pd.api.types.is_numeric_dtype(rows[name]):
            # The share of the known values to drop.
            changed.loc[known & (place < lost / known.mean()), name] = np.nan
    found = probabilities(model, pd.concat([rows, changed], ignore_index=True)).reshape(2, -1)
    return float(np.abs(found[1] - found[0]).mean())


def level_gap(model: ChurnModel, x: pd.DataFrame) -> float | None:
    """Return the mean churn probability minus the one that the purchase model expects, from -1 to 1.

    None if the purchase model is not among the model's columns. The purchase model is the part of the base-rate
    forecast that follows from the customers alone. The seasonal part is not used: it moves the level by tens of points
    in weeks in which no feature drifts.
    """
    if _EXPECTED not in model.columns:
        return None
    return float(probabilities(model, x).mean() - expit(x[_EXPECTED].to_numpy(float)).mean())


def with_distribution_of(column: pd.Series, target: pd.Series) -> pd.Series:
    """Return the column with the distribution of another one, and with as few changes to its order as possible.

    A number is replaced by the value of the same rank. As many values are missing as in `target`, spread evenly
    over the ranks. Texts are replaced where their share is larger than in `target`.
    """
    if not pd.api.types.is_numeric_dtype(column):
        return _texts(column, target)
    values, wanted = column.to_numpy(float), np.sort(target.dropna().to_numpy(float))
    missing = round(len(values) * float(target.isna().mean()))
    kept = _kept(values, missing)
    result = np.full(len(values), np.nan)
    if len(kept) and len(wanted):
        ranks = (np.arange(len(kept)) + 0.5) / len(kept)
        result[kept] = wanted[(ranks * len(wanted)).astype(int)]
    return pd.Series(result, index=column.index)


def _kept(values: Floats, missing: int) -> NDArray[np.intp]:
    """Return the rows that keep a value, in order of value, if `missing` of all rows must have none."""
    known_count = len(values) - int(np.isnan(values).sum())
    order = np.argsort(values, kind="stable")
    known, unknown = order[:known_count], order[known_count:]
    if missing >= len(unknown):
        return np.delete(known, _spread(len(known), missing - len(unknown)))
    # Rows without a value get one; they are spread over the ranks.
    added = unknown[_spread(len(unknown), len(unknown) - missing)]
    return np.insert(known, np.linspace(0, len(known), len(added)).astype(int), added)


def _spread(length: int, count: int) -> NDArray[np.intp]:
    """Return `count` of the positions 0 to length - 1, evenly spaced."""
    return ((np.arange(count) + 0.5) * length / max(count, 1)).astype(np.intp)


def _places(length: int) -> Floats:
    """Return values that fill 0 to 1 evenly, in an order unrelated to that of the rows."""
    golden_ratio = (5**0.5 - 1) / 2
    return (np.arange(length) * golden_ratio % 1).astype(np.float64)


def _texts(column: pd.Series, target: pd.Series) -> pd.Series:
    """Return texts with the shares of another column; only what is too frequent is replaced."""
    old, new = (part.astype(object).where(part.notna(), "") for part in (column, target))
    shares = new.value_counts(normalize=True).sort_index()
    # Round cumulatively, so that the counts add up to the number of rows.
    counts = np.diff(np.round(shares.cumsum().to_numpy() * len(old)), prepend=0).astype(int)
    wanted = dict(zip(shares.index, counts, strict=True))
    place, size = old.groupby(old).cumcount(), old.map(old.value_counts()).astype(int)
    # Keep `quota` rows of each text, evenly over the column.
    quota = np.minimum(old.map(wanted).fillna(0).astype(int), size)
    keep: pd.Series = ((place + 1) * quota // size) > (place * quota // size)
    kept = old[keep].value_counts()
    result = old.copy()
    result[~keep] = [name for name, count in wanted.items() for _ in range(count - int(kept.get(name, 0)))]
    return result
