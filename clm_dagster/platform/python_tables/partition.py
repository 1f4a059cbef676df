"""The inputs of a computation of one snapshot.

Belongs here: the arguments of a domain's `read` and `compute`. Does not: the caller (`assets`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.charts import Drawing, figure_metadata
from clm_dagster.platform.dbt_project.building import Snapshot
from clm_dagster.platform.dbt_project.project import Node, Project
from clm_dagster.platform.partitions import with_as_of
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.python_tables.shards import CustomerRows, Sharding, Shards
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.warehouse import Connection, Parameters

S = TypeVar("S")


@dataclass(frozen=True)
class PartitionContext:
    """The snapshot to compute.

    key: partition key. as_of: instant of the snapshot. model_as_of: as_of of the trained model that it reads, if there
    is one. version: version of its inputs and code. is_newest: whether no later snapshot of the table is stored.
    """

    key: str
    as_of: datetime
    model_as_of: datetime | None
    version: Version
    is_newest: bool

    @property
    def day(self) -> date:
        """The date of as_of."""
        return self.as_of.date()

    @property
    def label(self) -> str:
        """Partition key and as_of, for messages."""
        return with_as_of([self.key], [self.day])

    @property
    def where(self) -> str:
        """SQL predicate for the rows of the snapshot."""
        return Snapshot(self.as_of).where("as_of")


@dataclass(frozen=True)
class Reading(Generic[S]):
    """Argument of a domain's `read`, which runs while the step holds the lock of the warehouse.

    sharding: how the step splits its customers.
    """

    connection: Connection
    partition: PartitionContext
    settings: S
    project: Project
    sharding: Sharding = field(default_factory=Sharding)

    def shards(self, customers: str, parameters: Parameters = None) -> Shards:
        """Return the shards of the customers of a query, whose customer_id is not null or repeated."""
        return self.sharding.shards(self.connection, customers, parameters)

    def rows(self, name: str, shards: Shards, query: str, parameters: Parameters = None) -> CustomerRows:
        """Return the rows of a query by shard. It is ordered by customer_id first. name: unique in the step."""
        return self.sharding.rows(self.connection, name, shards, query, parameters)

    @property
    def as_of(self) -> datetime:
        """The instant of the snapshot."""
        return self.partition.as_of

    @property
    def day(self) -> date:
        """The date of as_of."""
        return self.partition.day


@dataclass(frozen=True)
class Work(Generic[S]):
    """Argument of a domain's `compute`, which runs while the step does not hold the lock of the warehouse.

    node: the table to compute. code_version: version of the code that computes it. log: reports progress. threads:
    number of threads to use, 0 for one per processor. data_dir: the data folder. dagster_run_id: id of the run, or of
    the original run if this is a retry. is_shown: whether Dagster shows the metadata of this snapshot, which it does
    for the last one of a run. explains_all: whether a training explains all candidates in MLflow, and not only the
    champion and the baselines. shelf_dir: folder for what one pass over several shards leaves for the next one.
    """

    partition: PartitionContext
    settings: S
    node: Node
    code_version: str
    tracking: Tracking
    log: Callable[[str], None]
    threads: int
    data_dir: Path
    dagster_run_id: str
    is_shown: bool = True
    explains_all: bool = False
    shelf_dir: Path | None = None

    @property
    def day(self) -> date:
        """The date of as_of."""
        return self.partition.day

    @property
    def label(self) -> str:
        """Partition key and as_of, for messages."""
        return self.partition.label

    @property
    def columns(self) -> list[str]:
        """The columns of the table without as_of, which is added when the rows are stored."""
        return [name for name in self.node.types if name != "as_of"]

    @property
    def checkpoint_dir(self) -> Path:
        """Folder for intermediate results of a long computation; it is deleted once the snapshot is stored."""
        return self.data_dir / "cache" / self.node.relation / self.partition.key

    def pictures(self, drawings: Mapping[str, Drawing]) -> dict[str, Any]:
        """Return asset metadata with one inline image per drawing; none for a snapshot that is not shown."""
        return figure_metadata(drawings) if self.is_shown else {}

    def shelf(self, shards: int) -> Shelf:
        """Return the frames that passes over this many shards leave for each other."""
        return Shelf(self.shelf_dir if shards > 1 else None)

    def buffer(self) -> ParquetBuffer:
        """Return an empty buffer for rows that do not fit into memory."""
        types = self.node.types
        return ParquetBuffer({name: types[name] for name in self.columns}, self.data_dir)
