"""The Python tables of demand, in the order of computation.

Belongs here: what each table reads and which functions compute it. Does not: those functions.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clm_dagster.domains.demand import checks
from clm_dagster.domains.demand import settings as settings_of_demand
from clm_dagster.domains.demand.names import BASELINE, DAY, FORECASTS, METRICS, MODEL, WEEK
from clm_dagster.domains.demand.queries import (
    SeriesInputs,
    read_accuracy,
    read_daily_forecasts,
    read_inputs,
    read_series,
    read_training,
    sample_of,
)
from clm_dagster.domains.demand.registered import REGISTERED
from clm_dagster.domains.demand.table_settings import DemandSettings, ReorderSettings
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.platform.trained_models.training import Gate, TrainedModel
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.demand.accuracy import evaluate_forecasts
    from clm_dagster.domains.demand.calendar import decompose_calendar
    from clm_dagster.domains.demand.evaluation import DemandEvaluation
    from clm_dagster.domains.demand.forecasts import forecast_series
    from clm_dagster.domains.demand.notes import candidate_runs, notes
    from clm_dagster.domains.demand.policy import ForecastPolicy
    from clm_dagster.domains.demand.reorder import reorder
    from clm_dagster.domains.demand.training import evaluate, report, verdict
else:
    (evaluate_forecasts,) = late_functions("clm_dagster.domains.demand.accuracy", "evaluate_forecasts")
    (decompose_calendar,) = late_functions("clm_dagster.domains.demand.calendar", "decompose_calendar")
    (forecast_series,) = late_functions("clm_dagster.domains.demand.forecasts", "forecast_series")
    candidate_runs, notes = late_functions("clm_dagster.domains.demand.notes", "candidate_runs", "notes")
    (reorder,) = late_functions("clm_dagster.domains.demand.reorder", "reorder")
    evaluate, report, verdict = late_functions(
        "clm_dagster.domains.demand.training", "evaluate", "report", "verdict"
    )

ACCURACY, REORDER, CALENDAR = "marts.forecast_accuracy", "marts.reorder_points", "marts.demand_calendar"
GATE = "On held-out dates, the chosen forecasts beat the eight-week mean; days and weeks pass each for themselves."


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


def demand_model(
    settings: DemandSettings,
) -> "TrainedModel[DemandSettings, SeriesInputs, DemandEvaluation, Mapping[str, ForecastPolicy]]":
    """Return the trained model of demand."""
    return TrainedModel(
        registered=REGISTERED,
        reads=("demand_keys", "demand_series", "demand_promotions"),
        settings=settings,
        horizon_days=settings.horizon_days,
        read=read_training,
        sample=sample_of,
        evaluate=evaluate,
        report=report,
        notes=notes,
        candidates=candidate_runs,
        baseline=BASELINE,
        gate=Gate(GATE, verdict),
        metrics=METRICS,
        checks=checks.TRAINING,
        carries_over=False,
    )
