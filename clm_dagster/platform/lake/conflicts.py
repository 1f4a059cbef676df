"""Repeating a write that conflicts with the write of another process.

Belongs here: which errors are conflicts, and how long to wait. Does not: transactions (`connection`).

DuckLake lets transactions run side by side and refuses one at its commit if another one has changed the same table
meanwhile: two that only add rows never conflict, one that deletes rows conflicts with every other one of that table.
Nothing of a refused transaction remains, so its work is done again on the new state.
"""

import logging
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

import duckdb

from clm_dagster.errors import UserError

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# DuckLake's own words, those of PostgreSQL where several processes commit at once, and those of a table that another
# process has just created or replaced.
_CONFLICT = re.compile(
    r"transaction conflict|exceeded the maximum retry count|could not serialize access|deadlock detected"
    r"|duplicate key value violates unique constraint|concurrent update",
    re.IGNORECASE,
)
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 3.0


class ConflictError(UserError, RuntimeError):
    """Other processes wrote the same table again and again, for longer than the setting allows."""


def is_conflict(error: BaseException) -> bool:
    """Whether an error means that the transaction can be repeated."""
    return isinstance(error, duckdb.Error) and _CONFLICT.search(str(error)) is not None


def repeated(work: Callable[[], Result], purpose: str, seconds: float) -> Result:
    """Return the result of a transaction; repeat it while it conflicts with others, for so many seconds.

    Waits are random, and longer each time, so that processes do not meet again. Raise ConflictError.
    """
    deadline, wait, attempts = time.monotonic() + seconds, _FIRST_WAIT, 0
    while True:
        try:
            return work()
        except duckdb.Error as error:
            if not is_conflict(error):
                raise
            attempts += 1
            reason = " ".join(str(error).split("DuckLake transaction.")[-1].split())
            if time.monotonic() >= deadline:
                raise ConflictError(
                    f"{purpose} conflicted with writes of other processes {attempts} times in {seconds:.0f} s, last: "
                    f"{reason}. Let fewer runs write the same table at once, or increase CLM_LAKE_RETRY_SECONDS."
                ) from error
            log.info("%s is repeated (%d), because of a conflict: %s", purpose, attempts, reason)
        time.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(wait * 1.6, _LONGEST_WAIT)
