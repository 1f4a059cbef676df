"""The assets of churn: the trained model, every customer's probability and reasons, and what has drifted.

Belongs here: tables, their versions, scoring a snapshot. Does not: training (`training`), grades and contests as
tables (SQL: marts.model_scorecard, marts.churn_contest, marts.churn_fairness).
"""

from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from clm_dagster.domains.churn import (
    attribution,
    checks,
    contestants,
    features,
    level,
    model,
    monitoring,
    plan,
    reading,
    reasons,
    rhythm,
    scoring,
    served,
    training,
)
from clm_dagster.domains.churn.charts import drift_chart
from clm_dagster.domains.churn.monitoring import feature_drift
from clm_dagster.domains.churn.plan import ContestSettings
from clm_dagster.domains.churn.reading import MODEL, active, contest_settings, read_labels, read_margins
from clm_dagster.domains.churn.scoring import ChurnModel, snapshot_level
from clm_dagster.domains.churn.served import TRUSTED, to_model
from clm_dagster.domains.churn.settings import ChurnSettings
from clm_dagster.platform.assets.node_assets import asset_key
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import (
    Compute,
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
from clm_dagster.statistics.evaluation import levels, plans

SCORES, DRIFT, VALUE = "marts.churn_scores", "marts.feature_drift", "marts.customer_value"
REASONS = 3
_SCORED = ("customer_features", "churn_labels", "product_daily", "stg_products")
# What the forecast of the level looks at, beside what says which customer it is.
_LEVEL_COLUMNS = ", ".join(("as_of", *features.NEEDED[1:]))


def churn_tables(project: Project, settings: Settings) -> list[FrameTable]:
    """The tables of this room, in the order in which they are computed."""
    chosen, own = contest_settings(settings), settings.of(ChurnSettings)
    contest: list[Any] = [
        model,
        plan,
        plans,
        levels,
        snapshots,
        contestants,
        features,
        level,
        rhythm,
        scoring,
        served,
        training,
        reading,
        monitoring,
    ]
    scored: list[Any] = [
        scoring,
        features,
        level,
        levels,
        rhythm,
        attribution,
        reasons,
        reading,
        snapshots,
        _score,
    ]
    back = [k * settings.contest_spacing_weeks for k in range(1, chosen.steps_back + 1)]
    judged = weeks_to_mature(chosen.horizon_days)
    return [
        frame_table(
            project, MODEL, ["customer_features", "churn_labels", "stg_customers", "lifecycle_cutoffs"], contest,
            model=MODEL, weeks_back=[judged, *(judged + weeks for weeks in back)],
            chosen=(chosen, settings.train_customers),
        ),
        frame_table(
            project, SCORES, [*_SCORED, "risk_bands", VALUE], scored, model=MODEL,
            weeks_back=back, chosen=(chosen, settings.train_customers, settings.margin),
        ),
        frame_table(
            project, DRIFT, ["customer_features"], [monitoring, features, rhythm, _drifter], model=MODEL,
            chosen=(chosen.active_days, own.drift_warn, own.drift_fail),
        ),
    ]  # fmt: skip


def churn_assets(project: Project, settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of this room."""
    trained, scored, drifted = churn_tables(project, settings)
    return [
        frame_asset(
            project, settings, trained, training.reader(settings), training.train,
            checks.specs_of_model(asset_key(trained.node)),
        ),
        frame_asset(
            project, settings, scored, _reader(settings), _score, coverage_specs(asset_key(scored.node))
        ),
        frame_asset(
            project, settings, drifted, _drift_reader(settings), _drifter(settings),
            checks.specs_of_drift(asset_key(drifted.node)),
        ),
    ]  # fmt: skip


def _model_of(context: dg.AssetExecutionContext, choice: Choice) -> ChurnModel | None:
    tracking: Tracking = context.resources.tracking
    if choice.row is None:
        return None
    return to_model(tracking.sklearn_model(MODEL, choice.row["model_version"], TRUSTED))


# ----------------------------------------------------------------------------------------- scores


@dataclass(frozen=True)
class _Given:
    """What scoring reads: trainings by then, features back to a year before, mature labels, bands, margins."""

    trained: Trainings
    chosen: ContestSettings
    features: pd.DataFrame
    history: pd.DataFrame
    labels: pd.DataFrame
    bands: pd.DataFrame
    margins: pd.DataFrame


def _reader(settings: Settings) -> Read:
    chosen = contest_settings(settings)

    def read(connection: Connection, request: Request) -> _Given:
        as_of = as_of_of_key(request.key).date()
        days = level_days(connection, request, chosen)
        everyone = connection.frame(
            f"select * from core.customer_features where as_of = ? and {active(chosen)} order by customer_id",
            [as_of],
        )
        history = read_snapshots(
            connection, request, days[:-1], active(chosen), settings.train_customers, _LEVEL_COLUMNS
        )
        bands = connection.frame("select risk_band, from_probability from staging.risk_bands order by 2")
        labels = read_labels(connection, as_of, days)
        margins = read_margins(connection, as_of, settings.margin)
        trained = Trainings.read(connection, MODEL, as_of)
        return _Given(trained, chosen, everyone, history, labels, bands, margins)

    return read


def _score(context: dg.AssetExecutionContext, request: Request, given: _Given) -> Computed:
    as_of = as_of_of_key(request.key).date()
    choice = given.trained.choose(context.resources.tracking, given.chosen.horizon_days)
    fitted = _model_of(context, choice)
    if fitted is None or choice.row is None or given.features.empty:
        return Computed(pd.DataFrame(columns=_COLUMNS), {}, check_coverage(str(as_of), choice.said))
    chosen = given.chosen
    together = pd.concat([given.history, given.features[given.history.columns]], ignore_index=True)
    forecast = snapshot_level(
        together, given.labels, as_of, chosen.horizon_days, chosen.active_days, chosen.spacing_days
    )
    frame = fitted.scores(given.features, forecast.rate, REASONS)
    margins = given.margins.set_index("customer_id")["expected_margin"].reindex(frame["customer_id"])
    frame["expected_loss"] = frame["churn_probability"] * margins.to_numpy(float)
    frame["risk_band"] = band_of(frame["churn_probability"].to_numpy(), given.bands)
    frame = frame.drop(columns=["as_of"]).assign(
        model_name=choice.row["model_name"],
        model_version=choice.row["model_version"],
        model_as_of=choice.row["as_of"],
        training_data_hash=choice.row["training_data_hash"],
    )
    sizes = frame["risk_band"].value_counts()
    return Computed(
        frame[_COLUMNS],
        {
            "model_version": str(choice.row["model_version"]),
            "model_as_of": str(choice.row["as_of"]),
            "churn_rate_forecast": round(forecast.rate, 4),
            "level_method": forecast.method,
            "customers": {str(name): int(count) for name, count in sizes.items()},
        },
        check_coverage(str(as_of), choice.said),
    )


def band_of(probabilities: np.ndarray, bands: pd.DataFrame) -> np.ndarray:
    """The risk band of each probability: the last whose from_probability it reaches."""
    places = np.searchsorted(bands["from_probability"].to_numpy(float), probabilities, side="right") - 1
    return bands["risk_band"].to_numpy(dtype=object)[places]


# ------------------------------------------------------------------------------------------ drift


@dataclass(frozen=True)
class _Moving:
    """What drift is measured from: trainings by then, customers at as_of, drift at the snapshots before."""

    trained: Trainings
    horizon_days: int
    features: pd.DataFrame
    before: pd.DataFrame


def _drift_reader(settings: Settings) -> Read:
    chosen = contest_settings(settings)

    def read(connection: Connection, request: Request) -> _Moving:
        as_of = as_of_of_key(request.key).date()
        everyone = read_snapshots(connection, request, [as_of], active(chosen), settings.train_customers)
        before = pd.DataFrame()
        if connection.relation_kind(DRIFT) is not None:
            before = connection.frame(
                f"select as_of, feature, population_stability from {DRIFT} where as_of < ? order by all",
                [as_of],
            )
        trained = Trainings.read(connection, MODEL, as_of)
        return _Moving(trained, chosen.horizon_days, everyone, before)

    return read


def _drifter(settings: Settings) -> Compute:
    own = settings.of(ChurnSettings)
    warn, fail = own.drift_warn, own.drift_fail

    def compute(context: dg.AssetExecutionContext, request: Request, given: _Moving) -> Computed:
        as_of = as_of_of_key(request.key).date()
        choice = given.trained.choose(context.resources.tracking, given.horizon_days)
        fitted = _model_of(context, choice)
        if fitted is None or choice.row is None or given.features.empty:
            return Computed(
                pd.DataFrame(columns=_DRIFT_COLUMNS), {}, checks.check_drift(str(as_of), None, warn, fail)
            )
        table = feature_drift(
            fitted.background,
            fitted.judged,
            fitted.inputs(given.features, fitted.pace_of(given.features)),
            warn,
            fail,
        )
        shown = pd.concat([given.before, table.assign(as_of=pd.Timestamp(as_of))], ignore_index=True)
        picture = drift_chart(shown)
        told = table.assign(model_name=choice.row["model_name"], model_version=choice.row["model_version"])
        return Computed(
            told[_DRIFT_COLUMNS],
            {"chart": dg.MetadataValue.md(picture)} if picture else {},
            checks.check_drift(str(as_of), table, warn, fail),
        )

    return compute


_COLUMNS = [
    "customer_id", "horizon_days", "churn_probability", "predicted_churn", "risk_band", "expected_loss",
    *(f"reason_{k}{part}" for k in range(1, REASONS + 1) for part in ("", "_effect")),
    "model_name", "model_version", "model_as_of", "training_data_hash",
]  # fmt: skip
_DRIFT_COLUMNS = [
    "feature", "population_stability", "population_stability_at_test", "missing_trained", "missing_change",
    "status", "model_name", "model_version",
]  # fmt: skip
