"""Past snapshots that are scored so that models have grades from the first run on.

Belongs here: which past snapshots each table of scores is due at. Does not: what is stale (`staleness`), planning runs
(`platform.planning`), the grades themselves (SQL: marts.model_scorecard).

A score has a grade once its horizon has passed, which is true for none of the newest snapshots. So each table that can
be graded is also due one, two and three of its own horizons before the end of the data. Windows of one horizon end
there. A window that already has a scored snapshot needs no other one, so a shop that scores every week scores nothing
here. What has been scored is not scored again when its inputs change: a grade compares the forecast of that time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import end_of_week
from clm_dagster.platform.python_tables.tables import AnyTable


@dataclass(frozen=True)
class GradedWindows:
    """The windows in which each table needs a scored snapshot.

    keys: all snapshots, in order. newest: those that are scored in any case. first_training: the oldest snapshot at
    which models are trained; an earlier one has no model of its time. data_end: exclusive end of the days with data.
    count: number of windows.
    """

    keys: Sequence[str]
    newest: Sequence[str]
    first_training: str
    data_end: date
    count: int

    def due(self, table: AnyTable, builds: Builds) -> list[str]:
        """Return the snapshots at which a table is due, at most one for each window, in order."""
        if table.grade_days is None:
            return []
        length = timedelta(days=table.grade_days)
        scored = {key for key in builds.keys(table.relation) if table.has_current_code(builds, key)}
        scored |= set(self.newest)
        found = []
        for number in range(self.count, 0, -1):
            end = self.data_end - number * length
            inside = [key for key in self.keys if end - length < end_of_week(key) <= end]
            if not inside or scored & set(inside):
                continue
            if inside[-1] >= self.first_training and table.model_key(builds, inside[-1]) is not None:
                found.append(inside[-1])
        return found


def graded_snapshots(
    project: Project, tables: Sequence[AnyTable], builds: Builds, windows: GradedWindows
) -> Mapping[str, list[AnyTable]]:
    """Return the past snapshots to score, in order, each with its tables.

    tables: all Python tables, in topological order. A table that a graded one reads at the same snapshot is included
    where it is missing.
    """
    scores = {table.relation: table for table in tables if not table.is_trained}
    due: dict[str, set[str]] = {}
    for table in scores.values():
        for key in windows.due(table, builds):
            missing = {r for r in _needed(project, table, scores) if builds.stored(r, key) is None}
            due.setdefault(key, set()).update({table.relation} | missing)
    return {key: [t for t in scores.values() if t.relation in due[key]] for key in sorted(due)}


def _needed(project: Project, table: AnyTable, scores: Mapping[str, AnyTable]) -> set[str]:
    """Return the tables of scores that a table reads, directly or through another one."""
    found: set[str] = set()
    for relation in (project.nodes[name].relation for name in table.reads):
        if relation in scores:
            found |= {relation} | _needed(project, scores[relation], scores)
    return found
