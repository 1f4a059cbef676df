"""What a person should know beside the rows: which cut-offs are in force, and what they rest on."""

from collections.abc import Mapping
from typing import Any

from clm_dagster.platform.warehouse import Connection


def cutoff_facts(connection: Connection) -> Mapping[str, Any]:
    """The cut-offs of the newest snapshot and a sentence on where they come from; nothing without one."""
    frame = connection.frame("from core.lifecycle_cutoffs order by as_of desc limit 1")
    if frame.empty:
        return {}
    (newest,) = frame.to_dict("records")
    young = connection.scalar("select count(*) from core.lifecycle_cutoffs where basis = 'too young'")
    if newest["basis"] == "own gaps":
        source = (
            f"From {newest['returns']:,} repurchases of this shop up to {newest['as_of']:%Y-%m-%d}: of those who "
            f"come back within a year, {newest['active_quantile']:.0%} do so within {newest['active_days']} days "
            f"and {newest['lost_quantile']:.0%} within {newest['lost_days']}."
        )
    else:
        source = (
            f"Fixed days, as the shop is too young at {newest['as_of']:%Y-%m-%d}: its own cut-offs need a gap of "
            f"365 days and 100 repurchases; the longest is {newest['longest_gap_days']} days and there are "
            f"{newest['returns']:,}."
        )
    return {
        "active_days": int(newest["active_days"]),
        "lost_days": int(newest["lost_days"]),
        "cutoffs_from": source,
        "snapshots_with_fixed_cutoffs": int(young),
    }
