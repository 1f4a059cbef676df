"""The churn probability, risk band, reasons and expected loss of every active customer at a snapshot.

Belongs here: what scoring reads, and the rows of `marts.churn_scores`. Does not: training (`training`), the model
(`model`), SQL (`queries`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clm_dagster.domains.churn.features import NEEDED
from clm_dagster.domains.churn.model import ChurnModel, snapshot_level
from clm_dagster.domains.churn.plan import EvaluationSettings
from clm_dagster.domains.churn.queries import active, read_bands, read_labels, read_margins
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster.platform.trained_models.snapshots import level_days, read_snapshots

REASONS = 3
# What the forecast of the base rate looks at, beside what says which customer it is.
_BASE_RATE_COLUMNS = ", ".join(("as_of", *NEEDED[1:]))


@dataclass(frozen=True)
class ScoreSettings:
    """What the user chose of scores. customers: so many of a larger shop are read of the past; margin: otherwise."""

    evaluation: EvaluationSettings
    customers: int
    margin: float


@dataclass(frozen=True)
class ScoreInputs:
    """What scoring reads: active customers, those of a year before for the base rate, mature labels, bands, margins."""

    features: pd.DataFrame
    history: pd.DataFrame
    labels: pd.DataFrame
    bands: pd.DataFrame
    margins: pd.DataFrame


def read_scoring(reading: Reading[ScoreSettings]) -> ScoreInputs:
    """Read the customers of a snapshot and what their base rate is forecast from."""
    connection, settings = reading.connection, reading.settings
    where = active(settings.evaluation)
    days = level_days(reading, settings.evaluation)
    features = connection.frame(
        f"select * from core.customer_features where as_of = ? and {where} order by customer_id",
        [reading.day],
    )
    return ScoreInputs(
        features=features,
        history=read_snapshots(reading, days[:-1], where, settings.customers, _BASE_RATE_COLUMNS),
        labels=read_labels(connection, reading.day, days),
        bands=read_bands(connection),
        margins=read_margins(connection, reading.day, settings.margin),
    )


def score(scoring: Scoring[ScoreSettings, ChurnModel], inputs: ScoreInputs) -> TableOutput:
    """Score every active customer at the base rate that is forecast for the snapshot."""
    model = scoring.fitted
    if model is None or inputs.features.empty:
        return TableOutput(pd.DataFrame(columns=scoring.work.columns))
    together = pd.concat([inputs.history, inputs.features[inputs.history.columns]], ignore_index=True)
    chosen = scoring.settings.evaluation
    forecast = snapshot_level(
        together,
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
    return TableOutput(
        scoring.stamped(frame),
        {
            **scoring.facts(),
            "churn_rate_forecast": round(forecast.rate, 4),
            "level_method": forecast.method,
            "customers": {str(name): int(count) for name, count in sizes.items()},
        },
    )


def band_of(probabilities: np.ndarray, bands: pd.DataFrame) -> np.ndarray:
    """Return the risk band of each probability: the last whose from_probability it reaches."""
    places = np.searchsorted(bands["from_probability"].to_numpy(float), probabilities, side="right") - 1
    return bands["risk_band"].to_numpy(dtype=object)[places]
