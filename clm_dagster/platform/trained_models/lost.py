"""Trainings whose models the MLflow store of the data folder does not have any more.

Belongs here: finding them, and the build ledger without them. Does not: training again (`planning`), what a table of
scores does without (`scoring`).
"""

from collections.abc import Iterable, Mapping, Sequence

from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.trained_models.champions import stored_trainings
from clm_dagster.platform.warehouse import Connection


def lost_trainings(connection: Connection, tracking: Tracking, names: Iterable[str]) -> dict[str, list[str]]:
    """Return the partitions of each table of trainings whose models are lost, without the tables that lack none.

    names: the tables of trainings. The store is lost, for example, if `mlflow.db` was deleted. It is read without
    MLflow, in milliseconds.
    """
    found = {
        name: [key_of_as_of(row.as_of) for row in tracking.lost(name, stored_trainings(connection, name))]
        for name in names
    }
    return {name: keys for name, keys in found.items() if keys}


def read_builds(
    connection: Connection, tracking: Tracking, tables: Iterable[AnyTable]
) -> tuple[Builds, Mapping[str, Sequence[str]]]:
    """Return the build ledger without trainings whose models are lost, so that they are due, and these trainings."""
    builds = Builds.read(connection)
    lost = lost_trainings(connection, tracking, [table.relation for table in tables if table.is_trained])
    for relation, keys in lost.items():
        for key in keys:
            builds.forget(relation, key)
    return builds, lost
