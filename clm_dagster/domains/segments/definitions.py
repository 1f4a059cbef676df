"""Dagster definitions of the segments domain.

Belongs here: the list of charts, metadata and checks. Does not belong here: their implementation.
"""

from clm_dagster.domains.segments.charts import (
    score_chart,
    segment_chart,
    turnover_chart,
    turnover_facts,
)
from clm_dagster.domains.segments.checks import segment_map_check
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the charts and metadata of segments and the check of the segment map."""
    return Domain(
        name="segments",
        charts={
            "core.rfm_scores": score_chart,
            "marts.rfm_segments": segment_chart,
            "marts.segment_turnover": turnover_chart,
        },
        facts={"marts.rfm_segments": turnover_facts},
        seed_checks={"rfm_segment_map": {"map_is_a_partition": segment_map_check(shop.settings)}},
    )
