"""Metadata of the lifecycle tables: the current cut-offs and their origin.

Belongs here: values and sentences in asset metadata. Does not belong here: the cut-offs (SQL: core.lifecycle_cutoffs).
"""

from collections.abc import Mapping
from typing import Any

from clm_dagster.platform.warehouse import Connection


def cutoff_facts(connection: Connection) -> Mapping[str, Any]:
    """Return the cut-offs of the newest snapshot and a sentence on their origin; nothing without a snapshot."""
    frame = connection.frame("from core.lifecycle_cutoffs order by as_of desc limit 1")
    if frame.empty:
        return {}
    (newest,) = frame.to_dict("records")
    young = connection.scalar("select count(*) from core.lifecycle_cutoffs where basis = 'too young'")
    if newest["basis"] == "own gaps":
        source = (
            f"From {newest['returns']:,} repurchases of this shop up to {newest['as_of']:%Y-%m-%d}: of the "
            f"repurchases within a year, {newest['active_quantile']:.0%} happen within {newest['active_days']} days "
            f"and {newest['lost_quantile']:.0%} within {newest['lost_days']} days."
        )
    else:
        source = (
            f"Fixed days, because the shop is too young at {newest['as_of']:%Y-%m-%d}. Cut-offs from its own data "
            f"need a gap of at least 365 days and 100 repurchases; the longest gap is "
            f"{newest['longest_gap_days']} days and there are {newest['returns']:,} repurchases."
        )
    return {
        "active_days": int(newest["active_days"]),
        "lost_days": int(newest["lost_days"]),
        "cutoffs_from": source,
        "snapshots_with_fixed_cutoffs": int(young),
    }
