"""What Dagster sees of RFM segments.

Belongs here: the list of what the domain offers. Does not: how any of it works.
"""

from clm_dagster.domains.segments.charts import segment_chart
from clm_dagster.domains.segments.checks import segment_map_check
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """The chart of the segments, and the check of the map that makes them."""
    return Domain(
        name="segments",
        charts={"core.rfm_scores": segment_chart, "marts.rfm_segments": segment_chart},
        seed_checks={"rfm_segment_map": {"map_is_a_partition": segment_map_check(shop.settings)}},
    )
