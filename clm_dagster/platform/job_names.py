"""Names of the platform's jobs, which of them builds a file of the SQL project, and the tags of partition ranges.

Belongs here: what assets, jobs, schedules and planning share. The tag `job` of an asset names the job that keeps it
up to date. Does not: which assets a job selects (`jobs`).
"""

from clm_dagster.platform.dbt_project.project import Model, Project, Seed

DAILY, SNAPSHOTS, MODELS, SCORES, PUBLISH = "daily", "snapshots", "models", "scores", "publish"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def job_of(project: Project, node: Model | Seed) -> str:
    """Return the job that keeps a model or seed up to date. Views over snapshots belong to the weekly jobs."""
    if node.name in project.python_dependents:
        return SCORES
    return SNAPSHOTS if project.depends_on_snapshots(node.name) else DAILY


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the run tags for one run over a range of partitions."""
    return {RANGE_START: first, RANGE_END: last}
