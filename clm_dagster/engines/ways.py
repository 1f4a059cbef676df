"""The ways in which a model is built: runs build some models in more than one, and all must give the same rows.

Belongs here: the slices of each way. Does not: building and comparing (`verifying`).

- A snapshot model: all as_ofs in one statement, and one as_of after the other. Macros write other SQL for it.
- A daily model: all days at once, and then a part of them again, which replaces their rows.
- A state: as a whole, and from the days that changed (`changed_days`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from clm_dagster.platform.assets.node_assets import batch_of
from clm_dagster.platform.dbt_project.building import Batch, Slice, Snapshot, Snapshots
from clm_dagster.platform.dbt_project.project import Model

ONE_BY_ONE = "one as_of after the other"
BATCH_AGAIN = "a part of the days again"
DAYS_GONE = "from days that have lost their rows"
DAYS_BACK = "from days that are new"
_NONE: Mapping[str, Sequence[Slice]] = MappingProxyType({})
# How many days of a state change.
_CHANGED = 8


def first_way(model: Model, as_ofs: Sequence[datetime], days: Sequence[str]) -> Sequence[Slice]:
    """Return the slices that build a model in an empty database. days: those that are loaded, in order."""
    if model.materialized == "microbatch":
        return [batch_of(days)]
    if model.materialized == "snapshot":
        return [Snapshots(tuple(as_ofs)) if len(as_ofs) > 1 else Snapshot(*as_ofs)]
    return [None]


def other_ways(
    model: Model, as_ofs: Sequence[datetime], days: Sequence[str]
) -> Mapping[str, Sequence[Slice]]:
    """Return the slices that build a model again, by name of the way; those of a state depend on its inputs."""
    if model.materialized == "microbatch" and len(days) > 1:
        whole = batch_of(days)
        return {BATCH_AGAIN: [Batch(whole.start + (whole.end - whole.start) // 2, whole.end)]}
    if model.materialized == "snapshot" and len(as_ofs) > 1:
        return {ONE_BY_ONE: [Snapshot(as_of) for as_of in as_ofs]}
    return _NONE


def changed_days(days: Sequence[str]) -> tuple[str, ...]:
    """Return some days, in order, the first and the last among them, as those that change for a state."""
    step = max(len(days) // _CHANGED, 1)
    return tuple(sorted({*days[::step], days[-1]}))
