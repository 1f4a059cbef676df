"""One Definitions: the sum of the rooms.

Belongs here: wiring. Does not: anything that could be in a room.
"""

import warnings

import dagster as dg

from clm_dagster.domains.churn.assets import churn_assets, churn_tables
from clm_dagster.domains.churn.charts import fairness_chart, scorecard_chart
from clm_dagster.domains.churn.grading import band_check, grade_check
from clm_dagster.domains.churn.settings import ChurnSettings
from clm_dagster.domains.demand.assets import demand_assets, demand_tables
from clm_dagster.domains.demand.charts import contest_chart
from clm_dagster.domains.ingest.assets import ingest_assets
from clm_dagster.domains.ingest.source import ShopSource
from clm_dagster.domains.lifecycle.charts import move_chart, stage_chart, survival_chart, transition_chart
from clm_dagster.domains.lifecycle.checks import stage_map_check, visits_check
from clm_dagster.domains.lifecycle.cohort_charts import cohort_chart, funnel_chart
from clm_dagster.domains.lifecycle.facts import cutoff_facts
from clm_dagster.domains.personas.assets import persona_assets, persona_tables
from clm_dagster.domains.recommend.assets import recommend_assets, recommend_tables
from clm_dagster.domains.segments.charts import segment_chart
from clm_dagster.domains.segments.checks import segment_map_check
from clm_dagster.domains.shop.charts import revenue_chart
from clm_dagster.domains.value.assets import value_assets, value_tables
from clm_dagster.domains.value.charts import decile_chart, segment_value_chart, tracking_chart
from clm_dagster.platform.assets.extras import Extras, sql_assets
from clm_dagster.platform.assets.node_assets import asset_key
from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.jobs import build_jobs, build_schedules, build_sensors
from clm_dagster.platform.publish.assets import publish_asset
from clm_dagster.platform.python_tables.tables import FrameTable
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.warehouse import Warehouse
from clm_dagster.settings import Settings, load_settings

# Partition backfill policies and owners are beta in Dagster; it would say so once for each asset.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def load_sql(settings: Settings) -> Project:
    """The SQL project, with the variables that settings decide."""
    return load_project(settings.sql_dir, **settings.sql_variables())


def warehouse_of(settings: Settings) -> Warehouse:
    """The warehouse that the settings name."""
    return Warehouse(
        path=str(settings.warehouse_path),
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        lock_timeout=settings.lock_timeout,
    )


def tracking_of(settings: Settings) -> Tracking:
    """MLflow's store as the settings name it."""
    return Tracking(uri=settings.tracking_uri, artifact_dir=str(settings.artifact_dir))


def python_tables(project: Project, settings: Settings) -> list[FrameTable]:
    """Every table that a room's Python writes; each comes after those it reads."""
    return [
        *persona_tables(project),
        *value_tables(project, settings),
        *churn_tables(project, settings),
        *demand_tables(project, settings),
        *recommend_tables(project, settings),
    ]


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything Dagster is to know, for these settings."""
    project = load_sql(settings)
    source = ShopSource.open(settings, project)
    extras = Extras(
        charts={
            "core.repurchase_survival": survival_chart,
            "core.rfm_scores": segment_chart,
            "core.stage_states": stage_chart,
            "marts.churn_fairness": fairness_chart,
            "marts.cohort_retention": cohort_chart,
            "marts.demand_contest": contest_chart,
            "marts.funnel_daily": funnel_chart,
            "marts.lifecycle_stages": stage_chart,
            "marts.model_scorecard": scorecard_chart,
            "marts.segment_moves": move_chart,
            "marts.stage_transitions": transition_chart,
            "marts.rfm_segments": segment_chart,
            "marts.shop_daily": revenue_chart,
            "marts.value_by_segment": segment_value_chart,
            "marts.value_deciles": decile_chart,
            "marts.value_tracking": tracking_chart,
        },
        checks={
            "marts.funnel_daily": {"source_has_visits": visits_check},
            "marts.model_scorecard": {"scores_keep_their_promise": grade_check(settings.of(ChurnSettings))},
        },
        facts=dict.fromkeys(
            ("core.lifecycle_cutoffs", "core.stage_states", "marts.lifecycle_stages"), cutoff_facts
        ),
        seed_checks={
            "risk_bands": {"bands_cover_every_probability": band_check},
            "rfm_segment_map": {"map_is_a_partition": segment_map_check(settings)},
            "stage_map": {"map_names_every_stage": stage_map_check},
        },
    )
    tables = sql_assets(project, settings, extras)
    raw = ingest_assets(source, project)
    python = [
        *persona_assets(project, settings),
        *value_assets(project, settings),
        *churn_assets(project, settings),
        *demand_assets(project, settings),
        *recommend_assets(project, settings),
    ]
    written = python_tables(project, settings)
    read_by_people = [asset_key(m) for m in project.models.values() if m.schema in ("core", "marts")]
    read_by_people += [asset_key(table.node) for table in written if not table.is_trained]
    assets = [*raw, *tables, *python, publish_asset(settings, read_by_people)]
    return dg.Definitions(
        assets=assets,
        jobs=build_jobs(settings, assets),
        schedules=build_schedules(settings),
        sensors=build_sensors(settings),
        resources={"warehouse": warehouse_of(settings), "tracking": tracking_of(settings)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location, as `workspace.yaml` and `dg.toml` name it."""
    return build_definitions(load_settings())
