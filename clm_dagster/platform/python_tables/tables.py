"""Python tables: tables that Python writes one snapshot at a time, such as trained models and scores.

Belongs here: the inputs of such a table, and the version of each snapshot. Does not: the asset (`assets`), rows
(`output`), the computation (the domains).

A Python table is documented as a dbt source in its own YAML file in `dbt_like_sql/models`, so that SQL can read it. A
step holds the lock of the warehouse while it reads and while it writes, but not while it computes.
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
from clm_dagster.platform.python_tables.in_shards import Computed
from clm_dagster.platform.python_tables.partition import Reading, Work

Inputs = TypeVar("Inputs")
S = TypeVar("S")


@dataclass(frozen=True)
class PythonTable(Generic[Inputs, S]):
    """A table that Python writes by snapshot: `models.*` are trained models, all others are scores.

    reads: nodes of the SQL project, read at the same snapshot. read: reads the inputs from the warehouse. compute:
    computes the rows without the lock of the warehouse, at once or shard by shard (`in_shards`). settings: the only
    user settings that both may depend on; their repr is part of the version. model: the table of trained models that it
    reads. A score reads the newest model at or before as_of. A table of models names itself if a training reads the one
    before it. weeks_back: earlier snapshots of the same nodes that are read as well, where they exist. checks: names
    and descriptions of the domain's checks; `compute` returns their results. metrics: names of the metrics that a
    training writes to the long tables. code: the functions whose closure determines the rows, if not `read` and
    `compute`. grade_days: days after as_of until the rows can be compared with what happened; None where they are not.
    definition: the trained model that this is the table of, for `clm explain`; None for other tables. is_record:
    whether its rows record decisions that later snapshots and results read, so that they are never thinned.
    """

    node: Node
    reads: tuple[str, ...]
    read: Callable[[Reading[S]], Inputs]
    compute: Callable[[Work[S], Inputs], Computed]
    settings: S
    model: Node | None = None
    weeks_back: tuple[int, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    code: tuple[Root, ...] = ()
    grade_days: int | None = None
    definition: object = None
    is_record: bool = False

    @classmethod
    def of(
        cls,
        project: Project,
        name: str,
        reads: Sequence[str],
        read: Callable[[Reading[S]], Inputs],
        compute: Callable[[Work[S], Inputs], Computed],
        settings: S,
        model: str | None = None,
        weeks_back: Sequence[int] = (),
        checks: Mapping[str, str] | None = None,
        metrics: Sequence[str] = (),
        code: Sequence[Root] = (),
        grade_days: int | None = None,
        definition: object = None,
        is_record: bool = False,
    ) -> "PythonTable[Inputs, S]":
        """Return the table that the SQL project documents as the source `name`.

        Raise ProjectError if a name is unknown, or if the source does not have `partitions: snapshot`.
        """
        for known in (name, *reads, *([model] if model else [])):
            if known not in project.nodes:
                raise ProjectError(f"{name}: unknown model, seed or source {known!r}")
        node = project.nodes[name]
        if node.dagster.get("partitions") != SNAPSHOT:
            raise ProjectError(
                f"{node.path}: {name} is written by Python and requires `partitions: snapshot`"
            )
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
            grade_days,
            definition,
            is_record,
        )

    @cached_property
    def code_version(self) -> str:
        """Hash of the code that determines the rows, of the settings, and of the columns."""
        columns = [(column.name, column.data_type) for column in self.node.columns]
        return code_version(self.code or (self.read, self.compute), self.settings, columns)

    @property
    def relation(self) -> str:
        """The relation, `schema.name`."""
        return self.node.relation

    @property
    def is_trained(self) -> bool:
        """Whether its rows are trained models."""
        return self.node.schema == "models"

    def model_key(self, builds: Builds, key: str) -> str | None:
        """Return the snapshot of the model to read at this snapshot; None if none was trained by then."""
        if self.model is None:
            return None
        trained = [
            k for k in builds.keys(self.model.relation) if k < key or (k == key and not self.is_trained)
        ]
        return trained[-1] if trained else None

    def earlier_keys(self, key: str) -> list[str]:
        """Return the keys of the earlier snapshots to read, in order."""
        return sorted((parse_day(key) - weeks * WEEK).isoformat() for weeks in self.weeks_back)

    def expected(self, project: Project, builds: Builds, key: str) -> Version:
        """Return the version that the snapshot would have if it were computed now."""
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
        """Whether the snapshot is missing, or its inputs, code or settings have changed."""
        stored = builds.stored(self.relation, key)
        return stored is None or stored.hash != self.expected(project, builds, key).hash

    def has_current_code(self, builds: Builds, key: str) -> bool:
        """Whether the snapshot is stored and was computed by this code and these settings."""
        stored = builds.stored(self.relation, key)
        return stored is not None and stored.code == versions.combine([Version(self.code_version)]).code


# A table with any inputs and settings.
AnyTable = PythonTable[Any, Any]


def calendar_of(node: Node) -> str | None:
    """Return the calendar of a node's rows: `daily`, `snapshot` or None."""
    return node.window if isinstance(node, Model) else node.dagster.get("partitions")
