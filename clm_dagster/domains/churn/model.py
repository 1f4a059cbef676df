"""The model a contest ends with, and how it scores customers. Pure: frames in, frames out."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.churn import rhythm
from clm_dagster.domains.churn.attribution import attribute
from clm_dagster.domains.churn.candidates import log_odds
from clm_dagster.domains.churn.features import by_snapshot, derive, known_labels
from clm_dagster.domains.churn.level import LevelForecast, Levels
from clm_dagster.domains.churn.reasons import strongest_reasons
from clm_dagster.statistics.btyd import BGNBD, FitError
from clm_dagster.statistics.evaluation import Calibration, EvaluationError, Shape, at_level

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChurnModel:
    """A fitted estimator with all it needs to score rows of core.customer_features.

    columns: what the estimator takes, of `features.derive`. pace: BG/NBD of the test snapshot; calibration: at the
    level of the test snapshot; both are for single customers, a whole snapshot has its own. threshold: of the
    calibrated probability, for a yes or no. background: rows of training that reasons are measured from; judged: rows
    of the test snapshot, which drift is measured from; both as the estimator takes them.
    """

    name: str
    estimator: Any
    columns: tuple[str, ...]
    pace: BGNBD
    shape: Shape
    calibration: Calibration
    threshold: float
    background: pd.DataFrame
    judged: pd.DataFrame
    trained_as_of: date
    tested_as_of: date
    horizon_days: int

    def pace_of(self, frame: pd.DataFrame) -> BGNBD:
        """The pace of a whole snapshot; that of the test snapshot where its likelihood has no top."""
        try:
            return rhythm.fit(frame)
        except FitError:
            return self.pace

    def inputs(self, frame: pd.DataFrame, pace: BGNBD | None = None) -> pd.DataFrame:
        """The estimator's columns for rows of core.customer_features, n x len(columns)."""
        return derive(frame, pace or self.pace, self.horizon_days)[list(self.columns)]

    def probabilities(self, frame: pd.DataFrame) -> Floats:
        """Churn probabilities of any customers, shape (n,), at the pace and level of the test snapshot.

        For single customers, as a served model gets them; each has ordered at least once.
        """
        return self.calibration(log_odds(self.estimator, self.inputs(frame)))

    def log_odds_parts(self, frame: pd.DataFrame, pace: BGNBD | None = None) -> tuple[float, pd.DataFrame]:
        """Base and parts by column, which add up to the log-odds before calibration (`attribution`)."""
        return attribute(self.estimator, self.inputs(frame, pace), self.background)

    def scores(self, frame: pd.DataFrame, rate: float | None = None, reasons: int = 3) -> pd.DataFrame:
        """Score one whole snapshot: the active customers of one as_of, n rows, none of them without an order.

        rate: the forecast level of the snapshot (`Levels.forecast`), at which the mean probability is put;
        None for the level of the test snapshot. Columns: as_of, customer_id, horizon_days, churn_probability,
        predicted_churn (0 or 1, at the threshold), and for each of the strongest reasons its sentence
        (reason_1 ...) and its part of the log-odds (reason_1_effect ...).
        """
        pace = self.pace_of(frame)
        x = self.inputs(frame, pace)
        base, parts = attribute(self.estimator, x, self.background)
        raw = base + parts.to_numpy().sum(axis=1)
        calibration = self.calibration if rate is None else at_level(raw, self.shape, rate)
        probability = calibration(raw)
        out = pd.DataFrame(
            {
                "as_of": frame["as_of"].to_numpy(),
                "customer_id": frame["customer_id"].to_numpy(),
                "horizon_days": self.horizon_days,
                "churn_probability": probability,
                "predicted_churn": (probability >= self.threshold).astype(int),
            }
        )
        said = strongest_reasons(x, parts, self.horizon_days, reasons)
        return pd.concat([out, said.reset_index(drop=True)], axis=1)


def snapshot_level(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    as_of: date,
    horizon_days: int = 90,
    active_days: int = 365,
    spacing_days: int = 28,
) -> LevelForecast:
    """Forecast the churn rate at any `as_of`, to score it with; no label that matures later is looked at.

    features: rows of core.customer_features at `level_snapshots`; labels: those of core.churn_labels there
    are for them.
    """
    frames = by_snapshot(features, active_days)
    if as_of not in frames:
        raise EvaluationError(f"no customers to score at as_of {as_of}: build core.customer_features for it")
    mature = [day for day in frames if day + timedelta(days=horizon_days) <= as_of]
    known = {day: known_labels(frames, labels, day) for day in mature}
    levels = Levels(
        frames,
        {day: found for day, found in known.items() if found is not None},
        rhythm.fit_all(frames),
        horizon_days,
        spacing_days,
    )
    return levels.forecast(as_of, mature)
