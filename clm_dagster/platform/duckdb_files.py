"""Opening DuckDB files that another program may have open.

Belongs here: DuckDB's own lock, which programs outside this project hold (the duckdb shell, DBeaver, a notebook). Does
not: the lock between steps of this project (`warehouse`).
"""

import logging
import re
import time
from collections.abc import Mapping

import duckdb

from clm_dagster.errors import UserError

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.2
# "Conflicting lock is held in /usr/bin/duckdb (PID 123) by user ann."; on Windows "already open in duckdb.exe (PID 1)".
_LOCKED = re.compile(
    r"Could not set lock on file|being used by another process|already open in", re.IGNORECASE
)
_HOLDER = re.compile(
    r"(?:held in|open in)\s+(?P<program>.+?)\s+\(PID (?P<pid>\d+)\)(?: by user (?P<user>\w+))?"
)


# DuckDB 2.0.0 takes a filter on a sum for one that no row passes, if the sum stands above a left join with no rows on
# its right side: `select customer_id from (select coalesce(b.id, a.id) ..., sum(n) as n from a left join b ...) where
# n > 0` is empty. Without this optimizer it is right; a whole first load takes as long. DuckDB 1.5 does not have it.
_WRONG_OPTIMIZERS = "projection_pullup" if int(duckdb.__version__.split(".")[0]) >= 2 else ""
# DuckDB caches blocks of Parquet files. Version 1.5 reads blocks of the old file where one is replaced within a second.
UNCACHED = "enable_external_file_cache"


class WarehouseBusyError(UserError, RuntimeError):
    """Another process held a DuckDB file for longer than the setting `lock_timeout`."""


def open_when_free(
    path: str,
    purpose: str,
    timeout: float,
    read_only: bool = False,
    config: Mapping[str, str | int | bool] = {},
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file; wait up to `timeout` seconds while another program has it open.

    purpose: what waits, for messages. A warning names the program that has the file open. Raise WarehouseBusyError
    after the timeout, and duckdb.IOException for any other problem with the file.
    """
    deadline, warned = time.monotonic() + timeout, False
    while True:
        try:
            opened = duckdb.connect(path, read_only=read_only, config=dict(config))
            # Not in `config`, which must be equal for all connections of a process to one file.
            opened.execute(f"set disabled_optimizers = '{_WRONG_OPTIMIZERS}'")
            opened.execute(f"set {UNCACHED} = false")
            return opened
        except duckdb.IOException as error:
            if not _LOCKED.search(str(error)):
                raise
            holder = lock_holder(str(error))
            if time.monotonic() >= deadline:
                raise WarehouseBusyError(
                    f"{purpose} waited {timeout:.0f} s for {path}, which {holder} has open. Close the file there, or "
                    "end that program, and run again. To read while clm runs, open the published copy "
                    "published/clm.duckdb in the data folder read-only. CLM_LOCK_TIMEOUT sets how long to wait."
                ) from error
            if not warned:
                log.warning("%s waits up to %.0f s for %s, which %s has open", purpose, timeout, path, holder)
                warned = True
            time.sleep(min(_POLL_SECONDS, max(deadline - time.monotonic(), 0.0)))


def lock_holder(message: str) -> str:
    """Return the program, process id and user in DuckDB's message about a lock, as far as it names them."""
    found = _HOLDER.search(message)
    if not found:
        return "another program"
    user = f", user {found['user']}" if found["user"] else ""
    return f"{found['program']} (process {found['pid']}{user})"
