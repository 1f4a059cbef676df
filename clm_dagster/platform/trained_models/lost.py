"""Trainings whose models the MLflow store of the data folder does not have any more.

Belongs here: finding them. Does not: training again (`planning`), what a table of scores does without (`scoring`).
"""

from collections.abc import Iterable

from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.trained_models.champions import stored_trainings
from clm_dagster.platform.warehouse import Connection


def lost_trainings(connection: Connection, tracking: Tracking, names: Iterable[str]) -> dict[str, list[str]]:
    """Return the partitions of each table of trainings whose models are lost, without the tables that lack none.

    names: the tables of trainings. The store is lost, for example, if `mlflow.db` was deleted.
    """
    found = {
        name: [key_of_as_of(row.as_of) for row in tracking.lost(name, stored_trainings(connection, name))]
        for name in names
    }
    return {name: keys for name, keys in found.items() if keys}
