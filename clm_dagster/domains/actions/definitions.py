"""Dagster definitions of the actions domain.

Belongs here: the lists of tables and checks. Does not: their implementation.
"""

from clm_dagster.domains.actions.campaign_asset import campaign_asset, campaigns_job
from clm_dagster.domains.actions.exports.assets import export_assets, export_jobs
from clm_dagster.domains.actions.names import NEXT_BEST_ACTIONS, PLAYBOOK, PROFILES
from clm_dagster.domains.actions.playbook_check import playbook_check
from clm_dagster.domains.actions.segment_rules import read_rules
from clm_dagster.domains.actions.settings import ActionSettings
from clm_dagster.domains.actions.tables import action_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the tables, and the check of the playbook. Raise ProjectError for a segment that is not a condition."""
    folder, project = shop.settings.sql_dir, shop.project
    rules = read_rules(folder, project.model(PROFILES).types)
    tables = action_tables(project, shop.settings, rules)
    controls = shop.settings.of(ActionSettings).controls
    plans = next(table for table in tables if table.relation == NEXT_BEST_ACTIONS)
    return Domain(
        name="actions",
        tables=tables,
        assets=[campaign_asset(project, shop.settings, plans), *export_assets(shop.settings)],
        jobs=[campaigns_job(shop.settings), *export_jobs(shop.settings)],
        seed_checks={
            PLAYBOOK: {"playbook_can_be_followed": playbook_check(folder / "seeds", rules, controls)}
        },
    )
