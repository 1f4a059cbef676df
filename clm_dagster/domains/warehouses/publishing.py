"""Publishing the tables to one destination.

Belongs here: the order of the steps, what is refused. Does not: the comparison (`difference`), SQL (`targets`), Dagster
(`assets`).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from clm_dagster.domains.warehouses.destinations import Destination
from clm_dagster.domains.warehouses.difference import Change, Published
from clm_dagster.domains.warehouses.errors import Guarded, PublishError
from clm_dagster.domains.warehouses.settings import WarehouseSettings
from clm_dagster.domains.warehouses.source import Copy
from clm_dagster.domains.warehouses.targets.opening import connected
from clm_dagster.domains.warehouses.targets.target import Sent, Target
from clm_dagster.platform.resources import load_sql
from clm_dagster.settings import Settings


@dataclass(frozen=True)
class TableResult:
    """What happened, or would happen, to a table. rows: that were sent. partitions: sent and removed."""

    name: str
    what: str
    partitions: int
    rows: int


@dataclass
class Result:
    """What a publication did. title: where to. unchanged: number of tables that the destination has already."""

    destination: str
    title: str
    tables: list[TableResult] = field(default_factory=list)
    unchanged: int = 0

    @property
    def rows(self) -> int:
        """The number of rows that were sent."""
        return sum(table.rows for table in self.tables)


@dataclass(frozen=True)
class Publication:
    """A publication to a destination. log: called with what is done. full: whether everything is sent again."""

    settings: Settings
    destination: Destination
    log: Callable[[str], None]
    full: bool = False

    @property
    def own(self) -> WarehouseSettings:
        """The settings of the domain."""
        return self.settings.of(WarehouseSettings)

    @property
    def shop(self) -> str:
        """Whose tables they are, so that two shops do not overwrite each other."""
        return self.settings.asset_prefix or self.settings.source

    @property
    def folder(self) -> Path:
        """The folder of files on their way."""
        return self.settings.data_dir.resolve() / "cache" / "publish" / self.destination.name

    def preview(self) -> Result:
        """Return what would be published. Change nothing. Raise PublishError."""
        with self._opened() as (copy, target):
            result = Result(self.destination.name, target.title)
            for change in self._changes(copy, target, result):
                self._note(result, change)
        return result

    def run(self) -> Result:
        """Send what has changed, table by table. Raise PublishError; tables before the one that fails are sent."""
        with self._opened() as (copy, target):
            result = Result(self.destination.name, target.title)
            for change in self._changes(copy, target, result, is_real=True):
                self._send(copy, target, change)
                self._note(result, change)
        return result

    def _changes(self, copy: Copy, target: Target, result: Result, is_real: bool = False) -> Iterator[Change]:
        """Yield what to do with each table that differs; remove tables that are not selected any more."""
        if is_real:
            target.prepare()
        existing = target.existing()
        published = target.published(existing)
        self._check_shop(target, published.values())
        tables = copy.tables(self.own.publish_tables)
        names = {table.relation for table in tables}
        for before in published.values():
            if before.relation not in names:
                if is_real:
                    self.log(f"{before.name}: dropped, as it is not selected any more")
                    target.drop(before)
                existing.discard(before.name.lower())
                result.tables.append(TableResult(before.name, "dropped", len(before.parts), 0))
        self._check_names(target, [t.name for t in tables if t.relation not in published], existing)
        for table, node in tables.items():
            found = published.get(table.relation)
            if not table.columns and found is None:
                continue  # not built yet
            if found is not None and found.name.lower() not in existing:
                found = None  # somebody dropped it
            change = copy.change(table, node, found, self.shop)
            if self.full and found is not None:
                change = _everything(change)
            if change.changes_anything:
                yield change
            else:
                result.unchanged += 1

    def _send(self, copy: Copy, target: Target, change: Change) -> None:
        path = self.folder / f"{change.table.name}{target.suffix}"
        sent = None
        if change.send and change.rows:
            copy.write(change, path, target.expression, target.suffix)
            sent = Sent(path, change.table.columns, change.rows)
        if change.changes_rows:
            self.log(f"{change.table.name}: {_what(change)}, {change.rows:,} rows")
        target.replace(change, sent, datetime.now(UTC).replace(tzinfo=None))
        path.unlink(missing_ok=True)

    def _note(self, result: Result, change: Change) -> None:
        if not change.changes_rows:
            result.unchanged += 1
            return
        count = len(change.send) + len(change.gone)
        result.tables.append(TableResult(change.table.name, _what(change), count, change.rows))

    def _check_shop(self, target: Target, published: Iterable[Published]) -> None:
        others = sorted({each.shop for each in published} - {self.shop})
        if others:
            raise PublishError(
                f"{target.title} has the tables of the shop {', '.join(others)}, and this is {self.shop}; give each "
                "shop a schema of its own: CLM_PUBLISH_SCHEMA"
            )

    def _check_names(self, target: Target, names: Sequence[str], existing: set[str]) -> None:
        taken = sorted(name for name in names if name.lower() in existing)
        if taken:
            raise PublishError(
                f"{target.title} has tables of other people: {', '.join(taken)}; nothing was published. Set "
                "CLM_PUBLISH_SCHEMA to a schema of its own, or rename them"
            )

    @contextmanager
    def _opened(self) -> Iterator[tuple[Copy, Target]]:
        """Open both sides. At most one process of this machine publishes to a destination at a time."""
        with ExitStack() as stack:
            stack.enter_context(Guarded(self.destination.name, self.destination.secrets()))
            self.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(self._lock())
            for left in self.folder.iterdir():
                if left.name != ".lock":
                    shutil.rmtree(left) if left.is_dir() else left.unlink()  # of a killed process
            target = stack.enter_context(connected(self.destination, self.own.publish_schema))
            project = load_sql(self.settings)
            copy = stack.enter_context(
                Copy.open(project, self.settings, self.own.publish_personal, self.folder)
            )
            yield copy, target

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            with FileLock(self.folder / ".lock", timeout=self.settings.lock_timeout):
                yield
        except Timeout:
            raise PublishError(
                f"another process has been publishing to {self.destination.name} for "
                f"{self.settings.lock_timeout:g} s (setting CLM_LOCK_TIMEOUT); try again when it has ended"
            ) from None


def _everything(change: Change) -> Change:
    return Change(
        change.table,
        change.shop,
        change.gate,
        change.before,
        change.parts,
        tuple(sorted(change.parts)),
        change.gone,
    )


def _what(change: Change) -> str:
    if change.before is None:
        return "new"
    if change.is_rebuilt:
        return "other columns"
    return "changed" if change.send else "removed"
