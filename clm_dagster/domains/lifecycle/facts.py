"""Metadata of the lifecycle tables: the current cut-offs and their origin.

Belongs here: values and sentences in asset metadata. Does not belong here: the cut-offs (SQL: core.lifecycle_cutoffs).
"""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from clm_dagster.platform.warehouse import Connection

# As in the SQL of the cut-offs: a gap of a shop of exactly a year.
_NEARLY_A_YEAR = 358


def cutoff_facts(connection: Connection) -> Mapping[str, Any]:
    """Return the cut-offs of the newest snapshot and a sentence on their origin; nothing without a snapshot."""
    frame = connection.frame("from core.lifecycle_cutoffs order by as_of desc limit 1")
    if frame.empty:
        return {}
    (newest,) = frame.to_dict("records")
    young = connection.scalar("select count(*) from core.lifecycle_cutoffs where basis = 'too young'")
    if newest["basis"] == "own gaps":
        longest = newest["longest_gap_days"]
        span = (
            "a year" if longest >= _NEARLY_A_YEAR else f"{longest} days, the longest gap of this young shop"
        )
        source = (
            f"From {newest['returns']:,} repurchases of this shop up to {newest['as_of']:%Y-%m-%d}: of the "
            f"repurchases within {span}, {newest['active_quantile']:.0%} happen within {newest['active_days']} days "
            f"({_interval(newest, 'active')}) and {newest['lost_quantile']:.0%} within {newest['lost_days']} days "
            f"({_interval(newest, 'lost')})."
        )
    else:
        source = (
            f"Fixed days, because the shop is too young at {newest['as_of']:%Y-%m-%d}. Cut-offs from its own data "
            f"need 100 repurchases, and a year or a curve that has reached {newest['lost_quantile']:.0%}; the longest "
            f"gap is {newest['longest_gap_days']} days, {newest['returned_in_year']:.0%} of the order days were "
            f"followed by another within it, and there are {newest['returns']:,} repurchases."
        )
    return {
        "active_days": int(newest["active_days"]),
        "lost_days": int(newest["lost_days"]),
        "cutoffs_from": source,
        "snapshots_with_fixed_cutoffs": int(young),
    }


def _interval(row: Mapping[Hashable, Any], name: str) -> str:
    """Return the 95% interval of a cut-off in words."""
    low, high = row[f"{name}_days_low"], row[f"{name}_days_high"]
    return (
        f"95% interval: {low:.0f} days and more"
        if pd.isna(high)
        else f"95% interval: {low:.0f} to {high:.0f}"
    )
