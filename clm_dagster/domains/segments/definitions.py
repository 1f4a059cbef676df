"""Dagster definitions of the segments domain.

Belongs here: the list of charts and checks. Does not belong here: their implementation.
"""

from clm_dagster.domains.segments.charts import segment_chart
from clm_dagster.domains.segments.checks import segment_map_check
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the segment chart and the check of the segment map."""
    return Domain(
        name="segments",
        charts={"core.rfm_scores": segment_chart, "marts.rfm_segments": segment_chart},
        seed_checks={"rfm_segment_map": {"map_is_a_partition": segment_map_check(shop.settings)}},
    )
