"""The names of the platform's jobs, and the tags of runs of a range.

Belongs here: words that assets, jobs, schedules and plans share. An asset's tag `job` names the job that keeps it up
to date. Does not: what a job holds (`jobs`).
"""

DAILY, SNAPSHOTS, MODELS, SCORES, PUBLISH = "daily", "snapshots", "models", "scores", "publish"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(first: str, last: str) -> dict[str, str]:
    """Run tags that make one run of a range of partitions."""
    return {RANGE_START: first, RANGE_END: last}
