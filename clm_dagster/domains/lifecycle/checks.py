"""The check that refuses an edited map of stages, and the one that says when a source has no visits."""

from clm_dagster.domains.lifecycle.model import stage_map_problems
from clm_dagster.platform.assets.model_assets import Finding
from clm_dagster.platform.warehouse import Connection


def stage_map_check(connection: Connection, relation: str) -> list[str]:
    """The map names each stage exactly once, in words of the four-, five- and seven-stage vocabularies."""
    return stage_map_problems(connection.frame(f"select * from {relation}"))


def visits_check(connection: Connection) -> Finding:
    """Whether the source tells of visits: without them there is no funnel, and its table is empty."""
    if connection.scalar("select count(*) from core.channel_daily where visits > 0"):
        return Finding()
    return Finding(
        [
            "the source has no event of type visit, so the funnel is empty; select visits in the adapter's events.sql"
        ]
    )
