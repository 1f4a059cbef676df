"""Shards: ranges of customer ids, so that a computation holds the rows of some customers at a time.

Belongs here: where shards begin, and the rows of a query by shard. Does not: computations (`in_shards`), their
intermediate results (`shelf`).

A shard is a range of ids and not a class of a hash: files are sorted by id, so the rows of a shard are together in
them, and all shards one after the other have the order of the whole. Ranges hold equally many customers, so none is
empty.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd

from clm_dagster.platform.warehouse import Connection, Parameters

# Rows per block of a file; a shard reads the blocks that its ids are in.
_BLOCK = 20_480


@dataclass(frozen=True)
class Shards:
    """The shards of a snapshot. cuts: the first id of each shard, but of the first one, in order."""

    cuts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.cuts) + 1

    def condition(self, shard: int) -> str:
        """Return the SQL condition that the column customer_id is in a shard. Every id is in one shard."""
        parts = []
        if shard > 0:
            parts.append(f"customer_id >= {_literal(self.cuts[shard - 1])}")
        if shard < len(self.cuts):
            parts.append(f"customer_id < {_literal(self.cuts[shard])}")
        return " and ".join(parts) or "true"


@dataclass(frozen=True)
class CustomerRows:
    """The rows of a query, in order of customer_id, by shard.

    source: a file, or the rows themselves if there is a single shard. count: the number of rows.
    """

    source: Path | pd.DataFrame
    count: int
    shards: Shards = field(default_factory=Shards)

    @classmethod
    def whole(cls, frame: pd.DataFrame) -> "CustomerRows":
        """Return the rows of a frame as a single shard."""
        return cls(frame, len(frame))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield the rows of each shard."""
        return (self.shard(number) for number in range(len(self.shards)))

    def shard(self, number: int) -> pd.DataFrame:
        """Return the rows of a shard, in order."""
        return self._read("*", self.shards.condition(number))

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Return a few columns of all rows, in order."""
        return self._read(", ".join(f'"{name}"' for name in names), "true", names)

    def _read(self, selected: str, condition: str, names: Sequence[str] | None = None) -> pd.DataFrame:
        if isinstance(self.source, pd.DataFrame):
            return self.source if names is None else self.source[list(names)]
        quoted = _literal(self.source.as_posix())
        # One thread: the rows come in the order of the file in any case, but buffers of one thread are enough.
        with duckdb.connect(config={"threads": 1, "memory_limit": "512MB"}) as connection:
            return connection.execute(f"select {selected} from read_parquet({quoted}) where {condition}").df()


@dataclass(frozen=True)
class Sharding:
    """How a step splits its customers. customers: the most in a shard, 0 for all in one. folder: for the rows."""

    customers: int = 0
    folder: Path | None = None

    def shards(self, connection: Connection, customers: str, parameters: Parameters = None) -> Shards:
        """Return shards of equally many customers. customers: a query whose customer_id is not null or repeated."""
        if not self.customers or self.folder is None:
            return Shards()
        rows = connection.execute(
            f"""
            with placed as (
                select customer_id, row_number() over (order by customer_id) - 1 as place, count(*) over () as total
                from ({customers})
            ),
            sized as (select *, ceil(total / ceil(total / {self.customers}))::bigint as size from placed)
            select customer_id from sized where place > 0 and place % size = 0 order by customer_id
            """,
            parameters,
        )
        return Shards(tuple(str(cut) for (cut,) in rows))

    def rows(
        self,
        connection: Connection,
        name: str,
        shards: Shards,
        query: str,
        parameters: Parameters = None,
    ) -> CustomerRows:
        """Return the rows of a query, which is ordered by customer_id first. name: of a file that is new."""
        if len(shards) == 1 or self.folder is None:
            return CustomerRows.whole(connection.frame(query, parameters))
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.parquet"
        ((count,),) = connection.execute(
            f"copy ({query}) to {_literal(path.as_posix())} (format parquet, row_group_size {_BLOCK})",
            parameters,
        )
        return CustomerRows(path, int(count), shards)


def split(frame: pd.DataFrame, shards: Shards) -> list[pd.DataFrame]:
    """Return the rows of each shard of a frame with a column customer_id, in the order of the frame."""
    ids = frame["customer_id"].astype(object)
    places = pd.Series(list(shards.cuts), dtype=object).searchsorted(ids, side="right")
    return [frame[places == number] for number in range(len(shards))]


def _literal(text: str) -> str:
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
