"""The assets of customer value: the trained model, what each customer will spend, and when in the horizon.

Belongs here: tables, their versions, scoring a snapshot. Does not: training (`training`), what came of it (SQL:
marts.value_by_segment, marts.value_tracking, marts.value_deciles).
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from clm_dagster.domains.value import (
    checks,
    contestants,
    expectation,
    features,
    gates,
    intervals,
    level,
    metrics,
    model,
    plan,
    scoring,
    served,
    tiers,
    training,
)
from clm_dagster.domains.value.plan import ContestSettings
from clm_dagster.domains.value.scoring import SnapshotLevel, ValueModel, snapshot_level
from clm_dagster.domains.value.served import TRUSTED, to_model
from clm_dagster.domains.value.training import BUYERS, MODEL, contest_settings, read_labels
from clm_dagster.platform.assets.node_assets import asset_key
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import (
    Computed,
    FrameTable,
    Read,
    Request,
    frame_asset,
    frame_table,
)
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.trained_models import snapshots
from clm_dagster.platform.trained_models.champions import Choice, Trainings
from clm_dagster.platform.trained_models.checks import check_coverage, coverage_specs
from clm_dagster.platform.trained_models.snapshots import level_days, read_snapshots, weeks_to_mature
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics.evaluation import ContestError, levels, plans

VALUE, WEEKLY = "marts.customer_value", "marts.value_expectations"


def value_tables(project: Project, settings: Settings) -> list[FrameTable]:
    """The tables of this room, in the order in which they are computed."""
    chosen = contest_settings(settings)
    both: list[Any] = [
        expectation,
        features,
        intervals,
        level,
        levels,
        plan,
        plans,
        scoring,
        served,
        snapshots,
        tiers,
    ]
    contest: list[Any] = [*both, model, contestants, gates, metrics, training]
    back = [k * settings.contest_spacing_weeks for k in range(1, chosen.steps_back + 1)]
    judged = weeks_to_mature(chosen.horizon_days)
    given = (chosen, settings.train_customers)
    reads = ["customer_features", "value_labels"]
    return [
        frame_table(
            project, MODEL, reads, contest, model=MODEL,
            weeks_back=[judged, *(judged + weeks for weeks in back)], chosen=given,
        ),
        frame_table(project, VALUE, reads, [*both, _score], model=MODEL, weeks_back=back, chosen=given),
        frame_table(
            project, WEEKLY, ["customer_features", VALUE], [expectation, features, scoring, _weekly], model=MODEL
        ),
    ]  # fmt: skip


def value_assets(project: Project, settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of this room."""
    trained, scored, weekly = value_tables(project, settings)
    return [
        frame_asset(
            project, settings, trained, training.reader(settings), training.train,
            checks.specs_of_model(asset_key(trained.node)),
        ),
        frame_asset(
            project, settings, scored, _reader(settings), _score, coverage_specs(asset_key(scored.node))
        ),
        frame_asset(project, settings, weekly, _read_scored, _weekly),
    ]  # fmt: skip


@dataclass(frozen=True)
class _Given:
    """What scoring reads: trainings by then, all buyers, features back to a year before, mature labels."""

    trained: Trainings
    chosen: ContestSettings
    everyone: pd.DataFrame
    history: pd.DataFrame
    labels: pd.DataFrame


def _reader(settings: Settings) -> Read:
    chosen = contest_settings(settings)

    def read(connection: Connection, request: Request) -> _Given:
        as_of = as_of_of_key(request.key).date()
        days = level_days(connection, request, chosen)
        everyone = _read_buyers(connection, as_of)
        history = read_snapshots(connection, request, days, BUYERS, settings.train_customers)
        trained = Trainings.read(connection, MODEL, as_of)
        return _Given(trained, chosen, everyone, history, read_labels(connection, as_of, days))

    return read


def _model_at(
    context: dg.AssetExecutionContext, request: Request, given: _Given
) -> tuple[ValueModel | None, SnapshotLevel | None, Choice]:
    """The model, the level it scores at, and its row; no model where there is none or nobody to score."""
    tracking: Tracking = context.resources.tracking
    choice = given.trained.choose(tracking, given.chosen.horizon_days)
    if choice.row is None or given.everyone.empty:
        return None, None, choice
    fitted = to_model(tracking.sklearn_model(MODEL, choice.row["model_version"], TRUSTED))
    as_of = as_of_of_key(request.key).date()
    try:
        at, _ = snapshot_level(given.history, given.labels, as_of, fitted.cap, given.chosen)
    except ContestError:
        at = None  # the snapshot tells too little of its own pace: that and the level of the test are used
    return fitted, at, choice


def _score(context: dg.AssetExecutionContext, request: Request, given: _Given) -> Computed:
    as_of = str(as_of_of_key(request.key).date())
    fitted, at, choice = _model_at(context, request, given)
    if fitted is None or choice.row is None:
        return Computed(pd.DataFrame(columns=_COLUMNS), {}, check_coverage(as_of, choice.said))
    frame = fitted.scores(given.everyone, at).assign(
        model_name=choice.row["model_name"],
        model_version=choice.row["model_version"],
        model_as_of=choice.row["as_of"],
        training_data_hash=choice.row["training_data_hash"],
    )
    sizes = frame["value_tier"].value_counts()
    return Computed(
        frame[_COLUMNS],
        {
            "model_version": str(choice.row["model_version"]),
            "model_as_of": str(choice.row["as_of"]),
            "expected_revenue": round(float(frame["expected_revenue"].sum()), 2),
            "level": round(at.revenue if at else fitted.level.revenue, 4),
            "customers": {str(name): int(count) for name, count in sizes.items()},
        },
        check_coverage(as_of, choice.said),
    )


@dataclass(frozen=True)
class _Scored:
    """What the weeks are made of: all buyers of a snapshot, and what each was said to bring."""

    everyone: pd.DataFrame
    value: pd.DataFrame


def _read_scored(connection: Connection, request: Request) -> _Scored:
    as_of = as_of_of_key(request.key).date()
    value = connection.frame(f"select * from {VALUE} where as_of = ? order by customer_id", [as_of])
    return _Scored(_read_buyers(connection, as_of), value)


def _weekly(context: dg.AssetExecutionContext, request: Request, given: _Scored) -> Computed:
    if given.value.empty:
        return Computed(pd.DataFrame(columns=_WEEKLY_COLUMNS))
    tracking: Tracking = context.resources.tracking
    about = given.value.iloc[0][["horizon_days", "model_name", "model_version"]]
    fitted = to_model(tracking.sklearn_model(MODEL, about["model_version"], TRUSTED))
    orders, revenue = given.value[["expected_orders", "expected_revenue"]].sum()
    return Computed(fitted.weekly(given.everyone, orders, revenue).assign(**about)[_WEEKLY_COLUMNS])


def _read_buyers(connection: Connection, as_of: date) -> pd.DataFrame:
    return connection.frame(
        f"select * from core.customer_features where as_of = ? and {BUYERS} order by customer_id", [as_of]
    )


_COLUMNS = [
    "customer_id", "horizon_days", "expected_orders", "expected_revenue", "revenue_low", "revenue_high",
    "probability_of_no_order", "past_revenue", "value_tier", "model_name", "model_version", "model_as_of",
    "training_data_hash",
]  # fmt: skip
_WEEKLY_COLUMNS = [
    "week", "days", "horizon_days", "expected_orders", "expected_revenue", "model_name", "model_version",
]  # fmt: skip
