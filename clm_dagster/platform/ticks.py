"""Reading the warehouse while Dagster evaluates a schedule or a sensor.

Belongs here: the short wait for the warehouse, and the reason to skip. Does not: schedules (`schedules`), sensors
(`change_sensors`).
"""

from collections.abc import Callable
from typing import TypeVar

import dagster as dg

from clm_dagster.platform.duckdb_files import WarehouseBusyError
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

# Seconds to wait for the warehouse. Dagster ends a tick after a minute.
_WAIT = 10.0
Found = TypeVar("Found")


def read_in_tick(
    settings: Settings, name: str, read: Callable[[Connection], Found], without: Found
) -> Found | dg.SkipReason:
    """Read the warehouse; return `without` where there is none yet, the reason to skip where it stays busy."""
    warehouse = warehouse_of(settings.replace(lock_timeout=_WAIT))
    try:
        with warehouse.connect_read_only(name) as connection:
            return without if connection is None else read(connection)
    except WarehouseBusyError as error:
        return dg.SkipReason(str(error))
