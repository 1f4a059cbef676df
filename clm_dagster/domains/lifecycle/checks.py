"""Checks of the stage map and of the visits behind the funnel.

Belongs here: the checks. Does not belong here: validation of the map (`model`).
"""

from clm_dagster.domains.lifecycle.model import stage_map_problems
from clm_dagster.platform.assets.model_assets import Finding
from clm_dagster.platform.warehouse import Connection


def stage_map_check(connection: Connection, relation: str) -> list[str]:
    """The map lists each stage exactly once, with names of the four-, five- and seven-stage vocabularies."""
    return stage_map_problems(connection.frame(f"select * from {relation}"))


def visits_check(connection: Connection) -> Finding:
    """The source has visits. Without visits the funnel is empty."""
    if connection.scalar("select count(*) from core.channel_daily where visits > 0"):
        return Finding()
    return Finding(
        [
            "the source has no event of type visit, so the funnel is empty; select visits in the adapter's events.sql"
        ]
    )
