"""A connection to a lake: the operations of a connection to a DuckDB file, as DuckLake needs them.

Belongs here: transactions that are repeated, and statements that DuckLake does not know or that must not run side by
side. Does not: attaching (`catalogue`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import duckdb

from clm_dagster.platform.lake.catalogue import Catalogue
from clm_dagster.platform.lake.claims import claimed
from clm_dagster.platform.lake.conflicts import Result, repeated
from clm_dagster.platform.warehouse import Connection


class LakeConnection(Connection):
    """A connection to a lake. purpose: for messages. seconds: how long a write waits, and how long it is repeated."""

    is_lake = True

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, catalogue: Catalogue, purpose: str, seconds: float
    ) -> None:
        super().__init__(connection)
        self._catalogue, self._purpose, self._seconds = catalogue, purpose, seconds
        self._is_open = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in a transaction; in one that is open already, as a part of it."""
        if self._is_open:
            yield
            return
        self._is_open = True
        try:
            with super().transaction():
                yield
        finally:
            self._is_open = False

    def run_transaction(
        self, work: Callable[[], Result], relation: str = "", keys: Sequence[str] = ("",)
    ) -> Result:
        """Run a function in a transaction; again, if that conflicts with another process. Raise ConflictError.

        relation, keys: the partitions that it replaces; another process that replaces them waits.
        """
        if self._is_open:
            return work()

        def attempt() -> Result:
            with self.transaction():
                return work()

        if not relation:
            return repeated(attempt, self._purpose, self._seconds)
        with claimed(self._catalogue, relation, keys, self._purpose, self._seconds):
            return repeated(attempt, self._purpose, self._seconds)

    def run_reading(self, work: Callable[[], Result]) -> Result:
        """Run a function on one state of the lake."""
        return self.run_transaction(work)

    def replace_table(self, relation: str, query: str) -> None:
        """Replace a table with the result of a query, which may read it. Call this inside a transaction.

        A table with the same columns keeps its identity and only changes its rows. Two processes that replace it at
        once then conflict, while of two `create or replace` the later silently wins over rows that it has never seen.
        """
        if self.relation_kind(relation) is None:
            self.execute(f"create table {relation} as {query}")
            return
        self.execute(f"create or replace temporary table replacement as {query}")
        if self.columns(f"select * from {relation}") == self.columns("select * from replacement"):
            self.execute(f"delete from {relation}")
            self.execute(f"insert into {relation} select * from replacement")
        else:
            self.execute(f"create or replace table {relation} as select * from replacement")
        self.execute("drop table replacement")

    def change_type(self, relation: str, column: str, kind: str, value: str) -> None:
        """Change the type of a column: DuckLake widens numbers only, so the table is written again."""
        self.replace_table(
            relation, f'select * replace (cast({value} as {kind}) as "{column}") from {relation}'
        )
