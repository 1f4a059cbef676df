"""Building a state from the days that changed, to compare it with one that is built as a whole.

Belongs here: inputs with and without some days. Does not: which days (`ways`), comparing (`verifying`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from clm_dagster.engines.duckdb_session import write_rows
from clm_dagster.engines.engine import Session
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project.building import ChangedDays
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.platform.warehouse import Connection


@dataclass(frozen=True)
class ChangingInputs:
    """The inputs of a state as files, by relation: with all days, and without some `days`."""

    project: Project
    model: Model
    days: tuple[str, ...]
    whole: dict[str, Path]
    without: dict[str, Path]

    @classmethod
    def write(
        cls,
        ours: Session,
        connection: Connection,
        project: Project,
        model: Model,
        days: Sequence[str],
        folder: Path,
    ) -> "ChangingInputs":
        """Write the inputs that have an event_time. ours: has them. connection: reads and writes files."""
        whole, without = {}, {}
        listed = ", ".join(f"date '{day}'" for day in days)
        for node in (project.nodes[name] for name in model.refs):
            if node.event_time is None:
                continue
            path = whole[node.relation] = folder / f"{node.relation}.whole.parquet"
            ours.write(node.relation, path)
            rows = f"select * from read_parquet({quoting.path(path)})"
            without[node.relation] = folder / f"{node.relation}.without.parquet"
            where = f"cast({node.event_time} as date) not in ({listed})"
            write_rows(connection, f"{rows} where {where}", without[node.relation])
        return cls(project, model, tuple(days), whole, without)

    def build_without(self, session: Session) -> None:
        """Build the state as a whole, over inputs without the days."""
        self._load(session, self.without)
        session.build(self.project, self.model, [None], {})

    def take_away(self, session: Session) -> None:
        """Build the state, which has all days, from the days, which have no rows any more."""
        self._load(session, self.without)
        session.build(self.project, self.model, [ChangedDays(self.days)], {})

    def bring_back(self, session: Session) -> None:
        """Build the state, which lacks the days, from them."""
        self._load(session, self.whole)
        session.build(self.project, self.model, [ChangedDays(self.days)], {})

    def restore(self, session: Session, given: Collection[str] = ()) -> None:
        """Give inputs all their days again. Views are views again, except for those that were given as tables."""
        for node in (self.project.nodes[name] for name in self.model.refs):
            if node.relation not in self.whole:
                continue
            if isinstance(node, Model) and node.materialized == "view" and node.relation not in given:
                session.build(self.project, node, [None], {})
            else:
                session.load(node.relation, self.whole[node.relation])

    @property
    def files(self) -> list[Path]:
        """All files."""
        return [*self.whole.values(), *self.without.values()]

    def _load(self, session: Session, files: dict[str, Path]) -> None:
        for relation, path in files.items():
            session.load(relation, path)
