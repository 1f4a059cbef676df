"""Drift of a snapshot's features since training.

Belongs here: the inputs of drift, and the rows of `marts.feature_drift`. Does not belong here: the comparison
(`monitoring`).
"""

from dataclasses import dataclass

import dagster as dg
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn import checks
from clm_dagster.domains.churn.asset_charts import drift_chart
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.monitoring import feature_drift
from clm_dagster.domains.churn.queries import eligible_customers, read_earlier_drift
from clm_dagster.domains.churn.table_settings import DriftSettings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster.platform.trained_models.snapshots import read_sample, read_snapshots


@dataclass(frozen=True)
class DriftInputs:
    """Inputs of drift: the customers at as_of, and the drift of earlier snapshots."""

    features: pd.DataFrame
    earlier: pd.DataFrame


def read_drift(reading: Reading[DriftSettings]) -> DriftInputs:
    """Read the customers of a snapshot and the drift of earlier snapshots."""
    settings = reading.settings
    share = read_sample(reading, settings.customers, settings.setting).share
    features = read_snapshots(reading, [reading.day], eligible_customers(settings.evaluation), share)
    return DriftInputs(features, read_earlier_drift(reading.connection, reading.day))


def measure(scoring: Scoring[DriftSettings, ChurnModel], inputs: DriftInputs) -> TableOutput:
    """Measure the drift of each feature since training, and its effect on scores. There are no rows without a model."""
    work, model, settings = scoring.work, scoring.whole.fitted, scoring.settings
    if model is None or inputs.features.empty:
        results = checks.check_drift(work.label, None, settings.warn, settings.fail)
        return TableOutput(pd.DataFrame(columns=work.columns), {}, results)
    with threadpool_limits(limits=1):  # as for scores
        table = feature_drift(
            model,
            model.inputs(inputs.features, model.purchase_model_of(inputs.features)),
            settings.warn,
            settings.fail,
        )
    chart = None
    if work.is_shown:
        shown = pd.concat([inputs.earlier, table.assign(as_of=pd.Timestamp(work.day))], ignore_index=True)
        chart = drift_chart(shown, settings.warn, settings.fail)
    return TableOutput(
        scoring.stamped(table),
        {"chart": dg.MetadataValue.md(chart)} if chart else {},
        checks.check_drift(work.label, table, settings.warn, settings.fail),
    )
