"""What the computation of one snapshot is given: when it is, what it reads with, what it works with.

Belongs here: the arguments of a domain's `read` and `compute`. Does not: what calls them (`assets`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Generic, TypeVar

from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.building import Snapshot
from clm_dagster.platform.dbt_project.project import Node, Project
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.warehouse import Connection

S = TypeVar("S")


@dataclass(frozen=True)
class PartitionContext:
    """One snapshot that is computed.

    key: its partition key. as_of: the instant it is taken at. model_key: the snapshot of the model that it reads, if
    there is one. version: that of its inputs as they are read. is_newest: no later snapshot of the table is stored.
    """

    key: str
    as_of: datetime
    model_key: str | None
    version: Version
    is_newest: bool

    @property
    def day(self) -> date:
        """The day that begins at as_of."""
        return self.as_of.date()

    @property
    def model_as_of(self) -> datetime | None:
        """The instant of the snapshot of the model, if there is one."""
        return None if self.model_key is None else as_of_of_key(self.model_key)

    @property
    def where(self) -> str:
        """SQL predicate for the rows of the snapshot."""
        return Snapshot(self.as_of).where("as_of")


@dataclass(frozen=True)
class Reading(Generic[S]):
    """What a `read` is given, while its step holds the warehouse."""

    connection: Connection
    partition: PartitionContext
    settings: S
    project: Project

    @property
    def as_of(self) -> datetime:
        """The instant of the snapshot."""
        return self.partition.as_of

    @property
    def day(self) -> date:
        """The day that begins at as_of."""
        return self.partition.day


@dataclass(frozen=True)
class Work(Generic[S]):
    """What a `compute` is given, while its step does not hold the warehouse.

    node: the table that is computed, by code of a version. log: tells a person how far it is. threads: how many a
    computation may use, 0 for one a processor. data_dir: the data folder. dagster_run_id: of the run, or of the one
    that it tries again.
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

    @property
    def day(self) -> date:
        """The day that begins at as_of."""
        return self.partition.day

    @property
    def columns(self) -> list[str]:
        """The table's columns without as_of, which is filled in when rows are stored."""
        return [name for name in self.node.types if name != "as_of"]

    @property
    def checkpoint_dir(self) -> Path:
        """A folder for what a long computation has done so far; it goes once the snapshot is stored."""
        return self.data_dir / "cache" / self.node.relation / self.partition.key

    def buffer(self) -> ParquetBuffer:
        """Return an empty buffer for rows that are too many for memory."""
        types = {name: kind for name, kind in self.node.types.items() if name != "as_of"}
        return ParquetBuffer(types, self.data_dir)
