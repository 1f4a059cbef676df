"""The assets of demand: the trained rules, forecasts of every series, how they did, reorder points, the calendar.

Belongs here: tables, their versions, forecasting a snapshot. Does not: training (`training`), contests as a table
(SQL: marts.demand_contest).
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.demand import (
    backtest,
    checks,
    components,
    features,
    gates,
    local_methods,
    lstm,
    model,
    outcomes,
    outlook,
    panel_methods,
    pictures,
    reading,
    realised,
    reorder,
    rules,
    series,
    served,
    training,
)
from clm_dagster.domains.demand.model import DAY, DemandSettings, forecasts_of, look_ahead_of, panels_of
from clm_dagster.domains.demand.outlook import QUANTILE_COLUMNS
from clm_dagster.domains.demand.reading import (
    FORECASTS,
    MODEL,
    read_promotions,
    read_series,
    read_sold,
)
from clm_dagster.domains.demand.reorder import ReorderSettings
from clm_dagster.domains.demand.rules import Rules
from clm_dagster.domains.demand.series import KEYS, daily_panel
from clm_dagster.domains.demand.served import TRUSTED, to_rules
from clm_dagster.domains.demand.settings import DemandSettings as OwnSettings
from clm_dagster.platform.assets.node_assets import asset_key
from clm_dagster.platform.charts import pictures_of
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import WEEK as A_WEEK
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import (
    Compute,
    Computed,
    FrameTable,
    Request,
    frame_asset,
    frame_table,
)
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.trained_models.champions import Choice, Trainings
from clm_dagster.platform.trained_models.checks import check_coverage, coverage_specs
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics.forecasting import (
    adding_up,
    arima,
    css,
    intervals,
    local_models,
    reconcile,
    transforms,
)

ACCURACY, REORDER, CALENDAR = "marts.forecast_accuracy", "marts.reorder_points", "marts.demand_calendar"
CALENDAR_DAYS = 365
"""Days before as_of that the calendar takes apart; older ones are in the calendars of earlier snapshots."""


def demand_tables(project: Project, settings: Settings) -> list[FrameTable]:
    """The tables of this room, in the order in which they are computed."""
    methods: list[Any] = [
        adding_up, arima, backtest, css, features, intervals, local_methods, local_models, lstm, model, outcomes,
        outlook, panel_methods, reading, reconcile, rules, series, served, transforms,
    ]  # fmt: skip
    reads = ["demand_keys", "demand_series", "demand_promotions"]
    weeks = range(1, DemandSettings().horizon_weeks + 1)
    own = settings.of(OwnSettings)
    lead = (own.reorder_lead_days, own.reorder_service_level)
    return [
        frame_table(
            project, MODEL, reads, [*methods, gates, training], model=MODEL, chosen=own.lstm
        ),
        frame_table(project, FORECASTS, reads, [*methods, _forecast], model=MODEL),
        frame_table(
            project, ACCURACY, [FORECASTS, "demand_series"], [realised, reading, _accuracy], model=MODEL,
            weeks_back=weeks,
        ),
        frame_table(project, REORDER, [FORECASTS], [reorder, rules, _reorderer], model=MODEL, chosen=lead),
        frame_table(
            project, CALENDAR, ["demand_keys", "demand_series"], [components, series, transforms, reading, _calendar]
        ),
    ]  # fmt: skip


def demand_assets(project: Project, settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of this room."""
    trained, forecast, judged, reordered, calendar = demand_tables(project, settings)
    return [
        frame_asset(
            project, settings, trained, training.read, training.trainer(settings),
            checks.specs_of_model(asset_key(trained.node)),
        ),
        frame_asset(
            project, settings, forecast, _read, _forecast,
            [*coverage_specs(asset_key(forecast.node)), *checks.specs_of_forecasts(asset_key(forecast.node))],
        ),
        frame_asset(project, settings, judged, _read_past, _accuracy),
        frame_asset(project, settings, reordered, _read_forecast, _reorderer(settings.of(OwnSettings))),
        frame_asset(project, settings, calendar, _read_series, _calendar),
    ]  # fmt: skip


# -------------------------------------------------------------------------------------- forecasts


@dataclass(frozen=True)
class _Given:
    """What forecasting reads: trainings by then, series before as_of, promotions."""

    trained: Trainings
    series: pd.DataFrame
    promotions: pd.DataFrame


def _read(connection: Connection, request: Request) -> _Given:
    as_of = as_of_of_key(request.key).date()
    trained = Trainings.read(connection, MODEL, as_of)
    return _Given(trained, read_series(connection, as_of), read_promotions(connection))


def _rules_of(context: dg.AssetExecutionContext, trained: Trainings) -> tuple[dict[str, Rules], Choice]:
    """The rules that forecast, and the row of their training; no rules where there is no model."""
    tracking: Tracking = context.resources.tracking
    choice = trained.choose(tracking, DemandSettings().horizon_days)
    if choice.row is None:
        return {}, choice
    return to_rules(tracking.sklearn_model(MODEL, choice.row["model_version"], TRUSTED)), choice


def _forecast(context: dg.AssetExecutionContext, request: Request, given: _Given) -> Computed:
    as_of = as_of_of_key(request.key).date()
    found, choice = _rules_of(context, given.trained)
    if choice.row is None or given.series.empty:
        empty = pd.DataFrame(columns=_COLUMNS)
        said = choice.said or "nothing was sold before it, so there is nothing to forecast from."
        return Computed(empty, {}, [*check_coverage(str(as_of), said), *checks.check_sums(str(as_of), _NONE)])
    chosen = DemandSettings()
    with threadpool_limits(limits=1):
        panels = panels_of(given.series, as_of, chosen, given.promotions)
        frame = forecasts_of(look_ahead_of(found, panels, chosen))
    draws = {
        f"forecasts_by_{period}": (pictures.forecast_page(given.series, frame, period), 11.0, 7.0)
        for period in panels
        if period in found
    }
    told = frame.rename(columns={"method": "model"}).assign(
        model_name=choice.row["model_name"], model_version=choice.row["model_version"],
        model_as_of=choice.row["as_of"],
    )  # fmt: skip
    days = frame[(frame["period"] == DAY) & (frame["level"] == "shop")].groupby("measure")["mean"].sum()
    return Computed(
        told[_COLUMNS],
        pictures_of(draws)
        | {f"expected_{name}_in_{chosen.horizon_days}_days": round(float(v), 2) for name, v in days.items()}
        | {
            "series": len(panels[DAY]),
            "model_version": str(choice.row["model_version"]),
            "model_as_of": str(choice.row["as_of"]),
        },
        [*check_coverage(str(as_of), choice.said), *checks.check_sums(str(as_of), frame)],
    )


# --------------------------------------------------------------------------------------- accuracy


@dataclass(frozen=True)
class _Past:
    """What is judged: trainings by then, and for each earlier forecast what it said and what came."""

    trained: Trainings
    forecasts: Mapping[date, pd.DataFrame]
    sold: Mapping[date, pd.DataFrame]


def _read_past(connection: Connection, request: Request) -> _Past:
    as_of = as_of_of_key(request.key).date()
    first = as_of - DemandSettings().horizon_weeks * A_WEEK
    rows = connection.frame(
        f"select * from {FORECASTS} where as_of >= ? and as_of < ? order by all", [first, as_of]
    )
    days = rows["as_of"].dt.date
    by_day = {day: rows[days == day].reset_index(drop=True) for day in sorted(set(days))}
    sold = {day: read_sold(connection, day, as_of) for day in by_day}
    return _Past(Trainings.read(connection, MODEL, as_of), by_day, sold)


def _accuracy(context: dg.AssetExecutionContext, request: Request, given: _Past) -> Computed:
    """The backtest of the rules in use, and how the forecasts of the last quarter did so far."""
    until = pd.Timestamp(as_of_of_key(request.key))
    parts = [pd.DataFrame(columns=_ACCURACY_COLUMNS)]
    choice = given.trained.choose(context.resources.tracking, DemandSettings().horizon_days)
    if choice.row is not None:
        told = pd.read_json(io.StringIO(choice.row["accuracy"]), orient="records", dtype={"key": str})
        told["model"] = told["model"].where(told["method"] == "chosen", told["method"])
        parts.append(
            told.assign(
                kind="backtest",
                is_chosen=told["method"] == "chosen",
                forecast_as_of=choice.row["as_of"],
                model_version=choice.row["model_version"],
            )
        )
    for day, forecasts in given.forecasts.items():
        came = realised.realised(forecasts, given.sold[day], until)
        names = forecasts[["period", *KEYS, "model", "outcome", "model_version"]].drop_duplicates(
            ["period", *KEYS]
        )
        parts.append(
            came.merge(names, on=["period", *KEYS]).assign(
                kind="realised", is_chosen=True, forecast_as_of=pd.Timestamp(day)
            )
        )
    filled = [part.reindex(columns=_ACCURACY_COLUMNS) for part in parts if len(part)]
    frame = pd.concat(filled, ignore_index=True) if filled else parts[0]
    shop = frame[(frame["kind"] == "realised") & (frame["level"] == "shop") & (frame["period"] == DAY)]
    facts = {
        f"wape_of_{measure}_days": round(float(rows["wape"].mean()), 3)
        for measure, rows in shop.groupby("measure")
        if rows["wape"].notna().any()
    }
    return Computed(frame, facts)


# ---------------------------------------------------------------------------------------- reorder


@dataclass(frozen=True)
class _Forecast:
    """Forecasts of one as_of, and trainings by then."""

    trained: Trainings
    forecasts: pd.DataFrame


def _read_forecast(connection: Connection, request: Request) -> _Forecast:
    as_of = as_of_of_key(request.key).date()
    frame = connection.frame(
        f"select * from {FORECASTS} where as_of = ? and period = '{DAY}' order by all", [as_of]
    )
    return _Forecast(Trainings.read(connection, MODEL, as_of), frame)


def _reorderer(settings: OwnSettings) -> Compute:
    chosen = ReorderSettings(settings.reorder_lead_days, settings.reorder_service_level)

    def compute(context: dg.AssetExecutionContext, request: Request, given: _Forecast) -> Computed:
        if given.forecasts.empty:
            return Computed(pd.DataFrame(columns=_REORDER_COLUMNS))
        version = given.forecasts["model_version"].iloc[0]
        tracking: Tracking = context.resources.tracking
        days = to_rules(tracking.sklearn_model(MODEL, version, TRUSTED))[DAY]
        wide = pd.Series(reorder.widening(days.paths, days.actual, chosen.lead_days), days.keys["key"])
        products = (days.keys["level"] == "product") & (days.keys["measure"] == "units")
        found = reorder.reorder_points(given.forecasts, wide[products.to_numpy()], chosen)
        frame = found.rename(columns={"key": "product_id"}).assign(
            model_name=given.forecasts["model_name"].iloc[0], model_version=version
        )
        return Computed(frame[_REORDER_COLUMNS], {"products": int(frame["product_id"].nunique())})

    return compute


# --------------------------------------------------------------------------------------- calendar


def _read_series(connection: Connection, request: Request) -> pd.DataFrame:
    return read_series(connection, as_of_of_key(request.key).date())


def _calendar(context: dg.AssetExecutionContext, request: Request, given: pd.DataFrame) -> Computed:
    if given.empty:
        return Computed(pd.DataFrame(columns=[*components.COLUMNS]))
    as_of = as_of_of_key(request.key)
    frame = components.components(daily_panel(given, as_of.date()))
    recent = frame[frame["date"] >= as_of - timedelta(days=CALENDAR_DAYS)]
    odd = recent[recent["is_anomaly"] & (recent["level"] == "shop")]
    return Computed(
        recent,
        pictures_of({"calendar": (pictures.calendar_page(recent), 11.0, 5.0)})
        | {"anomalies_of_the_shop": dg.MetadataValue.md(_anomalies(odd))},
    )


def _anomalies(odd: pd.DataFrame) -> str:
    """The shop's anomalies as a markdown table, the newest first."""
    if odd.empty:
        return "none"
    lines = ["| day | measure | sold | beyond the expected |", "|---|---|---|---|"]
    for row in odd.sort_values(["date", "measure"], ascending=[False, True]).head(20).to_dict("records"):
        lines.append(
            f"| {row['date']:%Y-%m-%d} | {row['measure']} | {row['value']:,.0f} | {row['anomaly_size']:+,.0f} |"
        )
    return "\n".join(lines)


_COLUMNS = [
    "period", *KEYS, "date", "mean", *QUANTILE_COLUMNS, "model", "outcome", "model_name", "model_version",
    "model_as_of",
]  # fmt: skip
_NONE = pd.DataFrame(columns=["period", *KEYS, "date", "mean"])
_ACCURACY_COLUMNS = [
    "kind", "forecast_as_of", "period", *KEYS, "model", "is_chosen", "outcome", "origins", "steps", *backtest.MEASURES,
    *training.BANDS, "actual", "forecast", "model_version",
]  # fmt: skip
_REORDER_COLUMNS = [
    "product_id", "date", "lead_days", "service_level", "expected_demand", "safety_stock", "reorder_point",
    "model_name", "model_version",
]  # fmt: skip
