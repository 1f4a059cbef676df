"""Names of the platform's jobs, and the run tags of partition ranges.

Belongs here: constants shared by assets, jobs, schedules and planning. The tag `job` of an asset names the job that
keeps it up to date. Does not: which assets a job selects (`jobs`).
"""

DAILY, SNAPSHOTS, MODELS, SCORES, PUBLISH = "daily", "snapshots", "models", "scores", "publish"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the run tags for one run over a range of partitions."""
    return {RANGE_START: first, RANGE_END: last}
