"""Scores of every active customer at a snapshot: churn probability, risk band, reasons and expected loss.

Belongs here: the inputs of scoring, and the rows of `marts.churn_scores`. Does not belong here: training (`training`),
the model (`model`), SQL (`queries`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn.checks import check_turnover
from clm_dagster.domains.churn.feature_names import NEEDED
from clm_dagster.domains.churn.model import ChurnModel, forecast_base_rate
from clm_dagster.domains.churn.queries import (
    eligible_customers,
    read_bands,
    read_labels,
    read_margins,
    read_previous_top,
)
from clm_dagster.domains.churn.table_settings import ScoreSettings
from clm_dagster.domains.churn.turnover import measure_turnover
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.scoring import NothingToScoreError, Scoring
from clm_dagster.platform.trained_models.snapshots import level_days, read_sample, read_snapshots

REASONS = 3
# Columns that the forecast of the base rate reads.
_BASE_RATE_COLUMNS = ", ".join(("as_of", *NEEDED[1:]))


@dataclass(frozen=True)
class ScoreInputs:
    """Inputs of scoring: active customers, their history for the base rate, mature labels, bands and margins.

    previous_top: the top decile of the previous scored snapshot, for the check only; no row depends on it.
    """

    features: pd.DataFrame
    history: pd.DataFrame
    labels: pd.DataFrame
    bands: pd.DataFrame
    margins: pd.DataFrame
    previous_top: pd.DataFrame


def read_scoring(reading: Reading[ScoreSettings]) -> ScoreInputs:
    """Read the customers of a snapshot and the inputs of the base-rate forecast."""
    connection, settings = reading.connection, reading.settings
    eligible = eligible_customers(settings.evaluation)
    days = level_days(reading, settings.evaluation)
    share = read_sample(reading, settings.customers, settings.setting).share
    features = connection.frame(
        f"select * from core.customer_features where as_of = ? and {eligible} order by customer_id",
        [reading.day],
    )
    return ScoreInputs(
        features=features,
        history=read_snapshots(reading, days[:-1], eligible, share, _BASE_RATE_COLUMNS),
        labels=read_labels(connection, reading.day, days, share),
        bands=read_bands(connection),
        margins=read_margins(connection, reading.as_of),
        previous_top=read_previous_top(connection, reading.as_of),
    )


def score(scoring: Scoring[ScoreSettings, ChurnModel], inputs: ScoreInputs) -> TableOutput:
    """Score every active customer at the base rate forecast for the snapshot, by the champion or by recency alone.

    Raise NothingToScoreError where nothing was fitted by this date.
    """
    model = _serving_model(scoring)
    if inputs.features.empty:
        checks = check_turnover(scoring.work.label, None, scoring.settings.turnover_warn)
        return TableOutput(pd.DataFrame(columns=scoring.work.columns), checks=checks)
    snapshots = pd.concat([inputs.history, inputs.features[inputs.history.columns]], ignore_index=True)
    chosen = scoring.settings.evaluation
    # One thread in each library: fits of purchase models are small, and would wait for threads most of the time.
    with threadpool_limits(limits=1):
        forecast = forecast_base_rate(
            snapshots,
            inputs.labels,
            scoring.work.day,
            chosen.horizon_days,
            chosen.active_days,
            chosen.spacing_days,
        )
        frame = model.scores(inputs.features, forecast.rate, REASONS).drop(columns="as_of")
    margins = inputs.margins.set_index("customer_id")["expected_margin"].reindex(frame["customer_id"])
    frame["expected_loss"] = frame["churn_probability"] * margins.to_numpy(float)
    frame["risk_band"] = band_of(frame["churn_probability"].to_numpy(), inputs.bands)
    sizes = frame["risk_band"].value_counts()
    turnover = measure_turnover(inputs.previous_top, frame)
    return TableOutput(
        scoring.stamped(frame),
        {
            **scoring.facts(),
            "churn_rate_forecast": round(forecast.rate, 4),
            "level_method": forecast.method,
            "customers": {str(name): int(count) for name, count in sizes.items()},
            **({} if turnover is None else {"top_decile_turnover": round(turnover.share, 4)}),
        },
        check_turnover(scoring.work.label, turnover, scoring.settings.turnover_warn),
    )


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
