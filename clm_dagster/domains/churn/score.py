"""Scores of every active customer at a snapshot: churn probability, risk band, reasons and expected loss.

Belongs here: the inputs of scoring, and the rows of `marts.churn_scores`. Does not belong here: training (`training`),
the model (`model`), SQL (`queries`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn.base_rate import BaseRateForecast
from clm_dagster.domains.churn.checks import check_turnover
from clm_dagster.domains.churn.feature_names import HISTORY
from clm_dagster.domains.churn.model import UNCALIBRATED, ChurnModel, forecast_base_rate
from clm_dagster.domains.churn.queries import (
    eligible_customers,
    read_active,
    read_bands,
    read_labels,
    read_previous_top,
)
from clm_dagster.domains.churn.reasons import Medians, numbers_of
from clm_dagster.domains.churn.table_settings import ScoreSettings
from clm_dagster.domains.churn.turnover import measure_turnover
from clm_dagster.platform.python_tables.in_shards import Computed, InShards, total_counts
from clm_dagster.platform.python_tables.output import Rows, TableOutput
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.trained_models.scoring import NothingToScoreError, Scoring
from clm_dagster.platform.trained_models.snapshots import level_days, read_snapshots
from clm_dagster.statistics.evaluation import Calibration

REASONS = 3
# Columns beside those that reasons read.
_NOT_KNOWN = ("customer_id", UNCALIBRATED, "expected_margin")


@dataclass(frozen=True)
class ScoreInputs:
    """Inputs of scoring: active customers, their history for the base rate, mature labels, and bands.

    features: with their expected margin. history: columns `HISTORY`. previous_top: the top decile of the previous
    scored snapshot, for the check only; no row depends on it.
    """

    features: CustomerRows
    history: pd.DataFrame
    labels: pd.DataFrame
    bands: pd.DataFrame
    previous_top: pd.DataFrame


def read_scoring(reading: Reading[ScoreSettings]) -> ScoreInputs:
    """Read the customers of a snapshot and the inputs of the base-rate forecast."""
    connection, settings = reading.connection, reading.settings
    eligible = eligible_customers(settings.evaluation)
    days = level_days(reading, settings.evaluation)
    return ScoreInputs(
        features=read_active(reading, eligible),
        history=read_snapshots(reading, days[:-1], eligible, settings.customers, ", ".join(HISTORY)),
        labels=read_labels(connection, reading.day, days),
        bands=read_bands(connection),
        previous_top=read_previous_top(connection, reading.as_of),
    )


def score(scoring: Scoring[ScoreSettings, ChurnModel], inputs: ScoreInputs) -> Computed:
    """Score every active customer at the base rate forecast for the snapshot, by the champion or by recency alone.

    Raise NothingToScoreError where nothing was fitted by this date.
    """
    model = _serving_model(scoring)
    if not len(inputs.features):
        checks = check_turnover(scoring.work.label, None, scoring.settings.turnover_warn)
        return TableOutput(pd.DataFrame(columns=scoring.work.columns), checks=checks)
    return ChurnScores(scoring, model, inputs)


@dataclass(frozen=True)
class Snapshot:
    """What the scores of a shard need of the whole snapshot."""

    forecast: BaseRateForecast
    calibration: Calibration
    medians: Medians


@dataclass(frozen=True)
class Scored:
    """What metadata and checks need of the scores of a shard. scores: customer_id, churn_probability."""

    sizes: dict[str, int]
    scores: pd.DataFrame


class ChurnScores(InShards[None, Snapshot, Scored]):
    """The scores of a snapshot, shard by shard.

    The purchase model and the base rate are those of all customers, and so are the calibration, which sets the mean
    probability, and the medians that reasons compare with.
    """

    def __init__(
        self, scoring: Scoring[ScoreSettings, ChurnModel], model: ChurnModel, inputs: ScoreInputs
    ) -> None:
        self._scoring, self._model, self._inputs = scoring, model, inputs
        self._shelf = scoring.work.shelf(self.shards)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self._inputs.features.shards)

    @cached_property
    def _history(self) -> pd.DataFrame:
        """The columns `HISTORY` of all customers of the snapshot."""
        return self._inputs.features.columns(HISTORY)

    def measure(self, shard: int) -> None:
        """Leave the log-odds of a shard, and what its reasons read."""
        # One thread in each library: fits of purchase models are small, and would wait for threads most of the time.
        with threadpool_limits(limits=1):
            purchases = self._model.purchase_model_of(self._history)
            customers = self._inputs.features.shard(shard)
            measured = self._model.measured(customers, purchases)
        margins = customers["expected_margin"].to_numpy(float, na_value=np.nan)
        self._shelf.put("measured", shard, measured.assign(expected_margin=margins))

    def combine(self, parts: Sequence[None]) -> Snapshot:
        """Forecast the base rate, and calibrate to it."""
        chosen = self._scoring.settings.evaluation
        inputs, model = self._inputs, self._model
        snapshots = pd.concat([inputs.history, self._history], ignore_index=True)
        with threadpool_limits(limits=1):
            forecast = forecast_base_rate(
                snapshots,
                inputs.labels,
                self._scoring.work.day,
                chosen.horizon_days,
                chosen.active_days,
                chosen.spacing_days,
            )
        names = numbers_of(self._shelf.get("measured", 0).drop(columns=[*_NOT_KNOWN]))
        medians = {name: float(pd.Series(self._column(name)).median()) for name in names}
        return Snapshot(forecast, model.calibration_at(self._column(UNCALIBRATED), forecast.rate), medians)

    def rows(self, whole: Snapshot, shard: int) -> tuple[pd.DataFrame, Scored]:
        """Return the scores of a shard."""
        measured = self._shelf.get("measured", shard)
        margins = measured.pop("expected_margin").to_numpy(float)
        frame = self._model.explained(measured, whole.calibration, whole.medians, REASONS)
        frame["expected_loss"] = frame["churn_probability"] * margins
        frame["risk_band"] = band_of(frame["churn_probability"].to_numpy(), self._inputs.bands)
        sizes = {str(name): int(count) for name, count in frame["risk_band"].value_counts().items()}
        scores = frame[["customer_id", "churn_probability"]]
        # Only the turnover reads them.
        kept = scores.iloc[:0] if self._inputs.previous_top.empty else scores.copy()
        return self._scoring.stamped(frame), Scored(sizes, kept)

    def output(self, whole: Snapshot, rows: Rows, facts: Sequence[Scored]) -> TableOutput:
        """Return the scores with metadata, and the check of the turnover."""
        scoring = self._scoring
        scores = pd.concat([one.scores for one in facts], ignore_index=True)
        turnover = measure_turnover(self._inputs.previous_top, scores)
        return TableOutput(
            rows,
            {
                **scoring.facts(),
                "churn_rate_forecast": round(whole.forecast.rate, 4),
                "level_method": whole.forecast.method,
                "customers": total_counts([one.sizes for one in facts]),
                **({} if turnover is None else {"top_decile_turnover": round(turnover.share, 4)}),
            },
            check_turnover(scoring.work.label, turnover, scoring.settings.turnover_warn),
        )

    def _column(self, name: str) -> NDArray[np.float64]:
        return self._shelf.column("measured", name, self.shards)


def _serving_model(scoring: Scoring[ScoreSettings, ChurnModel]) -> ChurnModel:
    """Return the champion, or the recency baseline of the newest training."""
    served = scoring.whole
    model = served.champion or (served.fitted and served.fitted.baseline)
    if model is None:
        raise NothingToScoreError(
            "Neither a model nor the recency baseline was fitted by this date, so this snapshot has no scores."
        )
    return model


def band_of(probabilities: np.ndarray, bands: pd.DataFrame) -> np.ndarray:
    """Return the risk band of each probability: the highest band whose from_probability it reaches."""
    places = np.searchsorted(bands["from_probability"].to_numpy(float), probabilities, side="right") - 1
    return bands["risk_band"].to_numpy(dtype=object)[places]
