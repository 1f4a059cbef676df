"""`clm pull`: pull what is new of all connectors into the inbox, as one Dagster run.

Belongs here: the run and what it brought. Does not: pulling (the domain `connect`), a shop run, which pulls first
(`shop_run`), terminal output (`cli`).
"""

from dataclasses import dataclass

import dagster as dg

from clm_dagster.domains.connect.assets import PULL, pull_definitions, pulled_key
from clm_dagster.domains.connect.config import CONNECTORS_HELP, read_connectors
from clm_dagster.domains.connect.errors import ConnectorError
from clm_dagster.domains.connect.settings import ConnectSettings
from clm_dagster.platform.naming import name_of
from clm_dagster.platform.runs import Begin, RunFailedError, close_dead_runs, execute, open_instance
from clm_dagster.settings import Settings


@dataclass(frozen=True)
class PulledRows:
    """What a pull of a table brought. rows: None where it failed. files: in the inbox."""

    table: str
    rows: int | None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class PullReport:
    """Result of `clm pull`. failure: the error of a run in which a table failed, None without one."""

    tables: tuple[PulledRows, ...]
    failure: RunFailedError | None = None


def pull_shop(settings: Settings, begin: Begin) -> PullReport:
    """Pull what is new of all connectors into the inbox, as one Dagster run. Raise ConnectorError without any.

    A table that fails does not stop the others.
    """
    connectors = read_connectors(settings.of(ConnectSettings).connectors, settings)
    if not connectors:
        raise ConnectorError(CONNECTORS_HELP)
    keys = [pulled_key(settings, table) for connector in connectors for table in connector.tables]
    with open_instance(settings) as instance:
        close_dead_runs(instance)
        failure = None
        before = {key: _last_event(instance, key) for key in keys}
        try:
            definitions, job = pull_definitions(connectors, settings), name_of(settings, PULL)
            execute(definitions, instance, job, None, begin("Pulling", len(keys)))
        except RunFailedError as error:
            failure = error
        return PullReport(tuple(_pulled_rows(instance, key, before[key]) for key in keys), failure)


def _last_event(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.EventLogEntry | None:
    return instance.get_latest_materialization_event(key)


def _pulled_rows(
    instance: dg.DagsterInstance, key: dg.AssetKey, before: dg.EventLogEntry | None
) -> PulledRows:
    """Return what the newest materialization of a table brought, if it is another one than before."""
    name, event = ".".join(key.path[-2:]), _last_event(instance, key)
    materialization = event.asset_materialization if event else None
    if materialization is None or (before and event and event.run_id == before.run_id):
        return PulledRows(name, None)
    found = {label: value.value for label, value in materialization.metadata.items()}
    files = found.get("files", [found["file"]] if "file" in found else [])
    rows = found.get("rows", len(files) if isinstance(files, list) else 0)
    assert isinstance(files, list) and isinstance(rows, int)
    return PulledRows(name, rows, tuple(map(str, files)))
