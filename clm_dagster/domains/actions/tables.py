"""The Python tables of actions, in the order of computation.

Belongs here: what each table reads and which functions compute it. Does not: those functions.
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.actions import checks
from clm_dagster.domains.actions.names import CUSTOM_SEGMENTS, NEXT_BEST_ACTIONS, PLAYBOOK, PROFILES, RESULTS
from clm_dagster.domains.actions.segment_rules import SegmentRule
from clm_dagster.domains.actions.settings import ActionSettings, capacities_of
from clm_dagster.domains.actions.table_settings import PlanSettings, ResultSettings, SegmentTableSettings
from clm_dagster.domains.actions.uplift.names import SCORES as UPLIFT_SCORES
from clm_dagster.domains.actions.uplift.tables import uplift_tables
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.actions.plan import plan_actions, read_plan
    from clm_dagster.domains.actions.result_table import campaign_results, read_results
    from clm_dagster.domains.actions.segment_table import read_segments, segment_rows
else:
    plan_actions, read_plan = late_functions("clm_dagster.domains.actions.plan", "plan_actions", "read_plan")
    campaign_results, read_results = late_functions(
        "clm_dagster.domains.actions.result_table", "campaign_results", "read_results"
    )
    read_segments, segment_rows = late_functions(
        "clm_dagster.domains.actions.segment_table", "read_segments", "segment_rows"
    )


def action_tables(project: Project, settings: Settings, rules: tuple[SegmentRule, ...]) -> list[AnyTable]:
    """Return the tables of custom segments, the uplift model, next best actions and results."""
    reads = tuple(project.model(PROFILES).refs)
    return [
        PythonTable.of(
            project, CUSTOM_SEGMENTS, reads, read_segments, segment_rows, SegmentTableSettings(rules)
        ),
        *uplift_tables(project, settings, result_settings(settings)),
        PythonTable.of(
            project,
            NEXT_BEST_ACTIONS,
            (
                *reads,
                CUSTOM_SEGMENTS,
                PLAYBOOK,
                "margin_rates",
                "stg_touches",
                "marts.recommendations",
                UPLIFT_SCORES,
            ),
            read_plan,
            plan_actions,
            plan_settings(project, settings),
            checks=checks.PLAN,
            is_record=True,
            in_shards=True,
        ),
        PythonTable.of(
            project,
            RESULTS,
            ("stg_touches", "customer_daily", "campaign_arms", NEXT_BEST_ACTIONS),
            read_results,
            campaign_results,
            result_settings(settings),
            checks=checks.RESULTS,
        ),
    ]


def plan_settings(project: Project, settings: Settings) -> PlanSettings:
    """Return what a plan depends on."""
    own = settings.of(ActionSettings)
    return PlanSettings(
        budget=own.budget,
        capacity=tuple(sorted(capacities_of(own.capacity).items())),
        rest_days=own.rest_days,
        assume_consent=own.consent == "assumed",
        holdout_share=own.holdout_share,
        global_holdout_share=own.global_holdout_share,
        holdout_key=own.holdout_key,
        control_arms=own.controls,
        horizon_days=int(project.variables["churn_horizon_days"]),
    )


def result_settings(settings: Settings) -> ResultSettings:
    """Return what results depend on."""
    own = settings.of(ActionSettings)
    return ResultSettings(own.window_days, own.controls, own.holdout_share, own.global_holdout_share)
