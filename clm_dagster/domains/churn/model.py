"""The fitted churn model and how it scores customers.

Belongs here: pure scoring, frames in and frames out. Does not belong here: fitting and evaluation (`evaluate`),
Dagster, MLflow.
"""

import functools
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.churn import purchase_model
from clm_dagster.domains.churn.attribution import attribute
from clm_dagster.domains.churn.base_rate import BaseRateForecast, BaseRates
from clm_dagster.domains.churn.candidates import log_odds
from clm_dagster.domains.churn.feature_names import HISTORY
from clm_dagster.domains.churn.features import by_snapshot, derive, known_labels, labels_by_snapshot
from clm_dagster.domains.churn.reasons import Medians, medians_of, strongest_reasons, with_parts
from clm_dagster.statistics.btyd import BGNBD, FitError
from clm_dagster.statistics.evaluation import Calibration, EvaluationError, Shape, calibrate_to_rate

Floats = NDArray[np.float64]
# The column of log-odds before calibration.
UNCALIBRATED = "uncalibrated"


@dataclass(frozen=True)
class ChurnModel:
    """A fitted estimator with everything that it needs to score rows of core.customer_features.

    columns: the columns of `features.derive` that the estimator takes. purchase_model: BG/NBD of the test snapshot.
    calibration: at the base rate of the test snapshot. Both serve single customers; a whole snapshot gets its own.
    threshold: the calibrated probability from which churn is predicted. background: training rows, the reference of
    the reasons. test_sample: rows of the test snapshot, the reference of drift. Both hold the estimator's columns.
    baseline: recency alone, fitted on the same snapshots; None in the baseline itself.
    """

    name: str
    estimator: Any
    columns: tuple[str, ...]
    purchase_model: BGNBD
    shape: Shape
    calibration: Calibration
    threshold: float
    background: pd.DataFrame
    test_sample: pd.DataFrame
    trained_as_of: date
    tested_as_of: date
    horizon_days: int
    baseline: "ChurnModel | None" = None

    def purchase_model_of(self, frame: pd.DataFrame) -> BGNBD:
        """Fit the purchase model of a whole snapshot; return that of the test snapshot if the fit does not converge."""
        try:
            return purchase_model.fit(frame)
        except FitError:
            return self.purchase_model

    def inputs(self, frame: pd.DataFrame, purchases: BGNBD | None = None) -> pd.DataFrame:
        """Return the estimator's columns for rows of core.customer_features, n x len(columns)."""
        return derive(frame, purchases or self.purchase_model, self.horizon_days)[list(self.columns)]

    def probabilities(self, frame: pd.DataFrame) -> Floats:
        """Return churn probabilities, shape (n,), with the purchase model and base rate of the test snapshot.

        Use this for single customers, as a served model receives them. Each customer needs at least one order.
        """
        return self.calibration(log_odds(self.estimator, self.inputs(frame)))

    def scores(self, frame: pd.DataFrame, rate: float | None = None, reasons: int = 3) -> pd.DataFrame:
        """Score one whole snapshot: the active customers of one as_of, n rows, each with at least one order.

        rate: the base rate forecast for the snapshot (`BaseRates.forecast`), which the mean probability is set to;
        None for the base rate of the test snapshot. Columns: as_of, customer_id, horizon_days, churn_probability,
        predicted_churn (0 or 1, at the threshold), and for each of the strongest reasons its sentence (reason_1 ...)
        and its part of the log-odds (reason_1_effect ...).
        """
        measured = self.measured(frame, self.purchase_model_of(frame))
        calibration = self.calibration_at(measured[UNCALIBRATED].to_numpy(), rate)
        known = measured.drop(columns=["customer_id", UNCALIBRATED])
        scores = self.explained(measured, calibration, medians_of(known), reasons)
        scores.insert(0, "as_of", frame["as_of"].to_numpy())
        return scores

    def measured(self, frame: pd.DataFrame, purchases: BGNBD) -> pd.DataFrame:
        """Return what `explained` reads of some customers: customer_id, their log-odds, and the result of `with_parts`.

        purchases: the purchase model of the whole snapshot.
        """
        x = self.inputs(frame, purchases)
        base, parts = attribute(self.estimator, x, self.background)
        # Column by column: a sum over rows may differ in its last bit between one customer and several.
        log_odds = functools.reduce(np.add, (parts[name].to_numpy() for name in parts))
        known = with_parts(x, parts).reset_index(drop=True)
        return known.assign(**{"customer_id": frame["customer_id"].to_numpy(), UNCALIBRATED: base + log_odds})

    def calibration_at(self, uncalibrated: Floats, rate: float | None) -> Calibration:
        """Return the calibration of a whole snapshot. uncalibrated: log-odds of all its customers."""
        return self.calibration if rate is None else calibrate_to_rate(uncalibrated, self.shape, rate)

    def explained(
        self, measured: pd.DataFrame, calibration: Calibration, medians: Medians, reasons: int
    ) -> pd.DataFrame:
        """Return the rows of `scores`, without as_of. measured: of some customers. The rest: of the snapshot."""
        probability = calibration(measured[UNCALIBRATED].to_numpy())
        scores = pd.DataFrame(
            {
                "customer_id": measured["customer_id"].to_numpy(),
                "horizon_days": self.horizon_days,
                "churn_probability": probability,
                "predicted_churn": (probability >= self.threshold).astype(int),
            }
        )
        known = measured.drop(columns=["customer_id", UNCALIBRATED])
        sentences = strongest_reasons(known, medians, self.horizon_days, reasons)
        return pd.concat([scores, sentences.reset_index(drop=True)], axis=1)


def forecast_base_rate(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    as_of: date,
    horizon_days: int = 90,
    active_days: int = 365,
    spacing_days: int = 28,
) -> BaseRateForecast:
    """Forecast the churn rate at any `as_of`, for scoring. Labels that mature after `as_of` are not used.

    features: columns `HISTORY` of core.customer_features at `level_snapshots`. labels: the available rows of
    core.churn_labels at these snapshots.
    """
    frames = by_snapshot(features, active_days, HISTORY)
    if as_of not in frames:
        raise EvaluationError(f"no customers to score at as_of {as_of}: build core.customer_features for it")
    mature = [day for day in frames if day + timedelta(days=horizon_days) <= as_of]
    by_day = labels_by_snapshot(labels)
    known = {day: known_labels(frames, by_day, day) for day in mature}
    base_rates = BaseRates(
        frames,
        {day: found for day, found in known.items() if found is not None},
        purchase_model.fit_all(frames),
        horizon_days,
        spacing_days,
    )
    return base_rates.forecast(as_of, mature)
