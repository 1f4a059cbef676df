"""Tables that Python writes, a snapshot at a time: models that are trained, and what they say.

Belongs here: what such a table reads, and which version each snapshot has. Does not: the asset (`assets`), rows
(`output`), what a domain computes.

Such a table is documented as a dbt source, in a YAML file of its own in `dbt_like_sql/models`, so that SQL can read
it. A step holds the warehouse while it reads and while it writes, and not while it computes between.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.code_version import Root, code_version
from clm_dagster.platform.build_ledger.versions import ABSENT, Builds, Version
from clm_dagster.platform.dbt_project.project import SNAPSHOT, Model, Node, Project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.partitions import WEEK, parse_day
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work

Inputs = TypeVar("Inputs")
S = TypeVar("S")


@dataclass(frozen=True)
class PythonTable(Generic[Inputs, S]):
    """A table that Python writes by snapshots: `models.*` are trained models, the others scores.

    reads: nodes of the project, read at the same snapshot. read: takes the inputs from the warehouse; compute: makes
    rows of them, not holding it. settings: all that either may know of the user's choices; its text is part of the
    version. model: the trained table it reads: a score reads its newest row at or before as_of, a trained table
    (that names itself, because it carries something over from one training to the next) the newest before it.
    weeks_back: earlier snapshots of the same nodes that are read as well, those that there are. checks: names of the
    domain's own checks, whose results `compute` gives, with their descriptions. metrics: names of those that a training
    writes to the long tables. code: the functions whose closure decides the rows, where they are others than `read`
    and `compute`.
    """

    node: Node
    reads: tuple[str, ...]
    read: Callable[[Reading[S]], Inputs]
    compute: Callable[[Work[S], Inputs], TableOutput]
    settings: S
    model: Node | None = None
    weeks_back: tuple[int, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    code: tuple[Root, ...] = ()

    @classmethod
    def of(
        cls,
        project: Project,
        name: str,
        reads: Sequence[str],
        read: Callable[[Reading[S]], Inputs],
        compute: Callable[[Work[S], Inputs], TableOutput],
        settings: S,
        model: str | None = None,
        weeks_back: Sequence[int] = (),
        checks: Mapping[str, str] | None = None,
        metrics: Sequence[str] = (),
        code: Sequence[Root] = (),
    ) -> "PythonTable[Inputs, S]":
        """Return the table that the project documents as the source `name`.

        Raise ProjectError for a name that is not documented, or not as `partitions: snapshot`.
        """
        for known in (name, *reads, *([model] if model else [])):
            if known not in project.nodes:
                raise ProjectError(f"{name}: there is no model, seed or source {known!r}")
        node = project.nodes[name]
        if node.dagster.get("partitions") != SNAPSHOT:
            raise ProjectError(f"{node.path}: {name} is written by Python and needs partitions: snapshot")
        trained = project.nodes[model] if model else None
        return cls(
            node,
            tuple(reads),
            read,
            compute,
            settings,
            trained,
            tuple(weeks_back),
            checks or {},
            tuple(metrics),
            tuple(code),
        )

    @cached_property
    def code_version(self) -> str:
        """Hash of the code that decides its rows, of the settings it knows, and of its columns."""
        columns = [(column.name, column.data_type) for column in self.node.columns]
        return code_version(self.code or (self.read, self.compute), self.settings, columns)

    @property
    def relation(self) -> str:
        """`schema.name`."""
        return self.node.relation

    @property
    def is_trained(self) -> bool:
        """Whether its rows are models."""
        return self.node.schema == "models"

    def model_key(self, builds: Builds, key: str) -> str | None:
        """Return the snapshot whose model is read at this one; None where none was trained by then."""
        if self.model is None:
            return None
        trained = [
            k for k in builds.keys(self.model.relation) if k < key or (k == key and not self.is_trained)
        ]
        return trained[-1] if trained else None

    def earlier_keys(self, key: str) -> list[str]:
        """Return the earlier snapshots that are read, in order."""
        return sorted((parse_day(key) - weeks * WEEK).isoformat() for weeks in self.weeks_back)

    def expected(self, project: Project, builds: Builds, key: str) -> Version:
        """Return the version the snapshot would have if it were computed now."""
        parts = [Version(self.code_version)]
        parts += [builds.input_version(project, name, SNAPSHOT, key) for name in self.reads]
        parts += [
            builds.stored(project.nodes[name].relation, earlier) or ABSENT
            for name in self.reads
            if calendar_of(project.nodes[name]) == SNAPSHOT
            for earlier in self.earlier_keys(key)
        ]
        if self.model is not None:
            found = self.model_key(builds, key)
            stored = builds.stored(self.model.relation, found) if found else None
            parts += [Version(found or ""), stored or ABSENT]
        return versions.combine(parts)

    def is_stale(self, project: Project, builds: Builds, key: str) -> bool:
        """Whether the snapshot is missing, or was computed from other inputs or code than there are now."""
        stored = builds.stored(self.relation, key)
        return stored is None or stored.hash != self.expected(project, builds, key).hash


# A table whatever it reads and is set by.
AnyTable = PythonTable[Any, Any]


def calendar_of(node: Node) -> str | None:
    """Return what a node's stored rows go by: `daily`, `snapshot` or nothing."""
    return node.window if isinstance(node, Model) else node.dagster.get("partitions")
