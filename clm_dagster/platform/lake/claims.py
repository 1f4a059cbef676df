"""Claims: two writes of the same partition follow one another, all others run side by side.

Belongs here: which locks a write takes, in PostgreSQL. Does not: conflicts at the commit (`conflicts`).

DuckLake does not notice that two transactions add the same partition if neither found rows of it to delete: it would
have its rows twice. So a write first takes a lock on each of its partitions. PostgreSQL holds the locks (advisory
locks, which no table needs) and releases them with the connection, also if the process is killed.

A write of a whole month takes the lock of the month, so that a long history needs few locks. A write of single days
shares the lock of their month. Locks are taken in one order everywhere, so that no two writes wait for each other.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from clm_dagster.platform.lake.catalogue import Catalogue, LakeError
from clm_dagster.platform.lake.conflicts import ConflictError

# So many days of a month are taken for all of it.
_WHOLE_MONTH = 28
_MONTH = len("2024-01")
_LOCK_TIMEOUT = "55P03"  # PostgreSQL's code


@dataclass(frozen=True)
class Lock:
    """A lock to take. name: what it is of. is_shared: whether other processes may share it."""

    name: str
    is_shared: bool = False

    def number(self, schema: str) -> int:
        """Return its number in a database that several lakes may share."""
        digest = hashlib.sha256(f"{schema}\n{self.name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


def locks_of(relation: str, keys: Sequence[str]) -> list[Lock]:
    """Return the locks for a write of some partitions, in the order in which they are taken.

    keys: days, as ISO dates; any other text is a partition of its own.
    """
    months: dict[str, list[str]] = {}
    for key in sorted(set(keys)):
        months.setdefault(key[:_MONTH], []).append(key)
    found = []
    for month, days in sorted(months.items()):
        is_whole = len(days) >= _WHOLE_MONTH
        found.append(Lock(f"{relation} {month}*", is_shared=not is_whole))
        if not is_whole:
            found += [Lock(f"{relation} {day}") for day in days]
    return found


@contextmanager
def claimed(
    catalogue: Catalogue, relation: str, keys: Sequence[str], purpose: str, seconds: float
) -> Iterator[None]:
    """Hold the locks of some partitions in the block; wait for other processes that write them.

    Raise ConflictError after so many seconds, LakeError. A catalogue that is a file has one process at a time.
    """
    if catalogue.is_file:
        yield
        return
    import sqlalchemy as sa

    try:
        held = catalogue.engine().connect()
    except sa.exc.OperationalError:
        # Not chained: the original error may show the address.
        raise LakeError(f"the catalogue {catalogue.label} cannot be reached") from None
    with held:
        held.execute(sa.text(f"set local lock_timeout = {int(seconds * 1000)}"))
        for lock in locks_of(relation, keys):
            function = "pg_advisory_xact_lock_shared" if lock.is_shared else "pg_advisory_xact_lock"
            try:
                held.execute(
                    sa.text(f"select {function}(:number)"), {"number": lock.number(catalogue.schema)}
                )
            except sa.exc.OperationalError as error:
                if getattr(error.orig, "pgcode", None) == _LOCK_TIMEOUT:
                    raise ConflictError(
                        f"{purpose} waited {seconds:.0f} s for another process that writes {lock.name.rstrip('*')}. "
                        "Wait until its run has finished, or increase CLM_LAKE_RETRY_SECONDS."
                    ) from None
                raise
        yield
