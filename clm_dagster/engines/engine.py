"""What `clm verify` needs of an engine that can run the SQL project.

Belongs here: the interface. Does not: any engine, comparing rows.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from clm_dagster.platform.dbt_project.building import Slice
from clm_dagster.platform.dbt_project.project import Model, Project


class Session(Protocol):
    """An empty database of an engine. Relations have the names of the project (`core.customer_daily`)."""

    def load(self, relation: str, path: Path) -> None:
        """Replace a table with the rows of a Parquet file."""

    def build(
        self, project: Project, model: Model, pieces: Sequence[Slice], variables: Mapping[str, Any]
    ) -> None:
        """Build a model over the relations of this database, one piece after the other."""

    def write(self, relation: str, path: Path) -> None:
        """Write all rows of a table or view to a Parquet file."""


class Engine(Protocol):
    """An engine. name: as the option `--engine` has it. version: what runs, for people."""

    name: str

    @property
    def version(self) -> str:
        """The engine with its version."""

    def open(self, folder: Path) -> AbstractContextManager[Session]:
        """Open an empty database, whose files are in an empty folder, for the duration of the block."""
