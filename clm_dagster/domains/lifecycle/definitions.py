"""Dagster definitions of the lifecycle domain: stages, migration, cohorts and the funnel.

Belongs here: the list of charts, metadata and checks. Does not belong here: their implementation.
"""

from clm_dagster.domains.lifecycle.charts import move_chart, stage_chart, survival_chart, transition_chart
from clm_dagster.domains.lifecycle.checks import stage_map_check, visits_check
from clm_dagster.domains.lifecycle.cohort_charts import cohort_chart, funnel_chart
from clm_dagster.domains.lifecycle.facts import cutoff_facts
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the charts, metadata and checks of tables that SQL makes."""
    return Domain(
        name="lifecycle",
        charts={
            "core.repurchase_survival": survival_chart,
            "core.stage_states": stage_chart,
            "marts.cohort_retention": cohort_chart,
            "marts.funnel_daily": funnel_chart,
            "marts.lifecycle_stages": stage_chart,
            "marts.segment_moves": move_chart,
            "marts.stage_transitions": transition_chart,
        },
        facts={
            "core.lifecycle_cutoffs": cutoff_facts,
            "core.stage_states": cutoff_facts,
            "marts.lifecycle_stages": cutoff_facts,
        },
        checks={"marts.funnel_daily": {"source_has_visits": visits_check}},
        seed_checks={"stage_map": {"map_names_every_stage": stage_map_check}},
    )
