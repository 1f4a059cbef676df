"""The Python tables of demand, in the order of computation.

Belongs here: what each table reads and which functions compute it. Does not: those functions.
"""

from clm_dagster.domains.demand import checks
from clm_dagster.domains.demand import settings as settings_of_demand
from clm_dagster.domains.demand.accuracy import evaluate_forecasts
from clm_dagster.domains.demand.calendar import decompose_calendar
from clm_dagster.domains.demand.forecasts import forecast_series
from clm_dagster.domains.demand.gates import BASELINE
from clm_dagster.domains.demand.model import DAY, WEEK, DemandSettings
from clm_dagster.domains.demand.queries import (
    FORECASTS,
    MODEL,
    read_accuracy,
    read_daily_forecasts,
    read_inputs,
    read_series,
)
from clm_dagster.domains.demand.reorder import ReorderSettings, reorder
from clm_dagster.domains.demand.served import REGISTERED
from clm_dagster.domains.demand.training import demand_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.settings import Settings

ACCURACY, REORDER, CALENDAR = "marts.forecast_accuracy", "marts.reorder_points", "marts.demand_calendar"


def demand_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the trained model, its forecasts, their accuracy, reorder points and the calendar."""
    own = settings.of(settings_of_demand.DemandSettings)
    usual = DemandSettings()
    quarter = range(1, usual.horizon_weeks + 1)
    lead = ReorderSettings(own.reorder_lead_days, own.reorder_service_level)
    forecasts = ScoreTable(
        name=FORECASTS,
        model=REGISTERED,
        baselines={DAY: BASELINE, WEEK: BASELINE},
        horizon_days=usual.horizon_days,
        reads=("demand_keys", "demand_series", "demand_promotions"),
        settings=usual,
        read=read_inputs,
        score=forecast_series,
        serve_refused=settings.serve_refused_models,
        checks=checks.FORECASTS,
        # The weekly forecasts have the longer horizon.
        grade_days=7 * usual.horizon_weeks,
    )
    return [
        demand_model(DemandSettings(lstm=own.lstm)).table(project),
        forecasts.table(project),
        PythonTable.of(
            project,
            ACCURACY,
            (FORECASTS, "demand_series"),
            read_accuracy,
            evaluate_forecasts,
            settings.serve_refused_models,
            MODEL,
            weeks_back=quarter,
        ),
        PythonTable.of(project, REORDER, (FORECASTS,), read_daily_forecasts, reorder, lead, MODEL),
        PythonTable.of(
            project, CALENDAR, ("demand_keys", "demand_series"), read_series, decompose_calendar, None
        ),
    ]
