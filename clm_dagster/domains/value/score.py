"""Expected spend of each customer at a snapshot, and its course over the weeks of the horizon.

Belongs here: the inputs of scoring, and the rows of `marts.customer_value` and `marts.value_expectations`. Does not
belong here: training (`training`), the model (`model`), SQL (`queries`).
"""

from dataclasses import dataclass

import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.value.baseline import baseline_scores, baseline_weeks
from clm_dagster.domains.value.model import SnapshotLevel, ValueModel, snapshot_level
from clm_dagster.domains.value.names import OWN_PAST
from clm_dagster.domains.value.queries import BUYERS, read_buyers, read_labels, read_value
from clm_dagster.domains.value.registered import REGISTERED
from clm_dagster.domains.value.table_settings import EvaluationSettings, Settings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.trained_models.champions import baseline_name
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster.platform.trained_models.snapshots import level_days, read_sample, read_snapshots
from clm_dagster.statistics.evaluation import EvaluationError

BASELINE = baseline_name(OWN_PAST)


@dataclass(frozen=True)
class ScoreInputs:
    """Inputs of scoring: all buyers, their history for the level, and mature labels."""

    buyers: pd.DataFrame
    history: pd.DataFrame
    labels: pd.DataFrame


def read_scoring(reading: Reading[Settings]) -> ScoreInputs:
    """Read the customers of a snapshot and the inputs of the level forecast."""
    days = level_days(reading, reading.settings.evaluation)
    share = read_sample(reading, reading.settings.customers, reading.settings.setting).share
    return ScoreInputs(
        buyers=read_buyers(reading.connection, reading.day),
        history=read_snapshots(reading, days, BUYERS, share),
        labels=read_labels(reading.connection, reading.day, days, share),
    )


def score(scoring: Scoring[Settings, ValueModel], inputs: ScoreInputs) -> TableOutput:
    """Predict the spend of every buyer, by the champion or by their past rate."""
    if inputs.buyers.empty:
        return TableOutput(pd.DataFrame(columns=scoring.work.columns))
    served = scoring.whole
    facts: dict[str, float] = {}
    if served.champion is None:
        intervals = served.fitted.baseline_intervals if served.fitted else None
        rows = baseline_scores(inputs.buyers, scoring.settings.evaluation.horizon_days, intervals)
    else:
        # One thread in each library: fits of purchase models are small, and would wait for threads most of the time.
        with threadpool_limits(limits=1):
            level = _level(scoring, served.champion, inputs)
            rows = served.champion.scores(inputs.buyers, level)
        facts["level"] = round(level.revenue if level else served.champion.level.revenue, 4)
    frame = scoring.stamped(rows)
    sizes = frame["value_tier"].value_counts()
    return TableOutput(
        frame,
        {
            **scoring.facts(),
            "expected_revenue": round(float(frame["expected_revenue"].sum()), 2),
            **facts,
            "customers": {str(name): int(count) for name, count in sizes.items()},
        },
    )


def _level(
    scoring: Scoring[Settings, ValueModel], model: ValueModel, inputs: ScoreInputs
) -> SnapshotLevel | None:
    """Return the level forecast for the snapshot. Return None if it is impossible; the test level is used then."""
    chosen: EvaluationSettings = scoring.settings.evaluation
    try:
        level, _ = snapshot_level(inputs.history, inputs.labels, scoring.work.day, model.cap, chosen)
    except EvaluationError:
        return None
    return level


@dataclass(frozen=True)
class WeeklyInputs:
    """Inputs of the weekly expectation: all buyers of a snapshot, and the expected value of each."""

    buyers: pd.DataFrame
    value: pd.DataFrame


def read_weekly(reading: Reading[None]) -> WeeklyInputs:
    """Read the customers of a snapshot and their scores."""
    return WeeklyInputs(
        read_buyers(reading.connection, reading.day), read_value(reading.connection, reading.day)
    )


def expect_weekly(work: Work[None], inputs: WeeklyInputs) -> TableOutput:
    """Spread the expected orders and revenue of all customers over the weeks of the horizon."""
    if inputs.value.empty:
        return TableOutput(pd.DataFrame(columns=work.columns))
    scored = inputs.value.iloc[0][["horizon_days", "model_name", "model_version"]]
    orders, revenue = inputs.value[["expected_orders", "expected_revenue"]].sum()
    if scored["model_name"] == BASELINE:
        weeks = baseline_weeks(int(scored["horizon_days"]), orders, revenue)
    else:
        model = REGISTERED.load(work.tracking, scored["model_version"])
        with threadpool_limits(limits=1):  # as for scores
            weeks = model.weekly(inputs.buyers, orders, revenue)
    return TableOutput(weeks.assign(**scored)[work.columns])
