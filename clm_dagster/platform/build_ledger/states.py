"""States: models that are built from the rows of the days that changed since their last build.

Belongs here: the versions of the days that a state was built from, which of them changed, and recording them. Does not:
the SQL of a state (`dbt_project`), when a state is stale (`staleness`: as any model that is built as a whole).

A state has an entry in the ledger for each day of its inputs, beside the one for the whole. A snapshot reads the
versions of the days before it. The days of a build are never those of its run but all that differ, so that none is left
behind. Whatever is not certain is built from scratch.
"""

from collections.abc import Mapping, Sequence

from clm_dagster.platform.build_ledger.entries import forget_entries
from clm_dagster.platform.build_ledger.versions import WHOLE, Builds, Version, record
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.platform.warehouse import Connection

# Above this share of the days, building from scratch costs less: each pair of a changed day is looked up.
_MOST_CHANGED = 0.25


def changed_days(
    connection: Connection, project: Project, model: Model, builds: Builds
) -> Sequence[str] | None:
    """Return the days, in order, whose inputs changed since a state was built; None if it must be built from scratch.

    That is so if the state is missing, was built by other code, or has other columns or another number of rows than
    recorded, or if many days changed.
    """
    stored = builds.stored(model.relation)
    if stored is None or stored.code != model.code_version[:16]:
        return None
    if connection.relation_kind(model.relation) != "BASE TABLE" or not _is_as_recorded(connection, model):
        return None
    now = builds.expected_days(project, model.name)
    before = {day: builds.stored(model.relation, day) for day in builds.keys(model.relation) if day != WHOLE}
    changed = sorted(day for day in now.keys() | before.keys() if _hash(now, day) != _hash(before, day))
    return None if len(changed) > _MOST_CHANGED * len(now) else changed


def record_state(
    connection: Connection, project: Project, model: Model, builds: Builds, rows: int, run_id: str
) -> Version:
    """Record that a state has just been built; return its version. Days that have not changed keep their entries."""
    now = builds.expected_days(project, model.name)
    stored = {day: builds.stored(model.relation, day) for day in builds.keys(model.relation) if day != WHOLE}
    gone = sorted(set(stored) - set(now))
    if gone:
        forget_entries(
            connection,
            "relation = ? and partition_key in (select unnest(?::varchar[]))",
            [model.relation, gone],
        )
    whole = builds.expected(project, model.name, [WHOLE])[WHOLE]
    changed = [(day, version, None) for day, version in now.items() if _hash(stored, day) != version.hash]
    record(connection, model.relation, [*changed, (WHOLE, whole, rows)], run_id)
    return whole


def _is_as_recorded(connection: Connection, model: Model) -> bool:
    """Whether a table has the documented columns and the recorded number of rows: nobody has edited it since."""
    recorded = connection.scalar(
        "select row_count from raw.builds where relation = ? and partition_key = ?", [model.relation, WHOLE]
    )
    columns = connection.columns(f"select * from {model.relation}")
    return columns == model.types and recorded == connection.scalar(f"select count(*) from {model.relation}")


def _hash(versions: Mapping[str, Version | None], day: str) -> str | None:
    version = versions.get(day)
    return version.hash if version else None
