"""`clm verify`: build every SQL model twice over the same inputs, with DuckDB and with another engine, and compare.

Belongs here: what is built, loaded and compared, in which order. Does not: engines, comparing two files (`comparing`),
what is read of the warehouse (`inputs`, `stored`), verdicts (`results`), output (`verify_view`).

The reference is DuckDB in a file of its own. It is also compared with the rows that the warehouse stores, which earlier
runs built piece by piece. Where a model differs, the engine goes on with the rows of the reference, so that each model
is judged on its own.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

from clm_dagster.engines.comparing import EQUAL, Comparison, compare
from clm_dagster.engines.duckdb_engine import DuckDBEngine, opened
from clm_dagster.engines.engine import Engine, Session
from clm_dagster.engines.inputs import Inputs, NothingToVerifyError, export_inputs
from clm_dagster.engines.results import ModelResult, Verification
from clm_dagster.engines.states import ChangingInputs
from clm_dagster.engines.stored import Stored, export_stored
from clm_dagster.engines.ways import DAYS_BACK, DAYS_GONE, changed_days, first_way, other_ways
from clm_dagster.errors import UserError
from clm_dagster.platform.dbt_project.building import Slice, with_upstream
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.storage import private_umask

# A value of a row that an error of an engine may quote.
_QUOTED = re.compile(r"'[^']*'")
_MOST_CHARACTERS = 400
_FOLDERS = ("inputs", "stored", "reference", "engine", "rows")

# Called with the name of a model that is done, and how many are.
Progress = Callable[[str, int], None]
# Called once, with a title and the number of models.
Begin = Callable[[str, int], Progress]


class UnknownModelError(UserError, LookupError):
    """A name that is no model. The message has the nearest one."""


def verify(
    settings: Settings,
    engine: Engine,
    begin: Begin,
    models: Sequence[str] = (),
    as_ofs: Sequence[datetime] = (),
    folder: Path | None = None,
) -> Verification:
    """Build models with DuckDB and with an engine, and compare their rows, also with those that the warehouse stores.

    models: names (`customer_features`) or relations (`core.customer_features`); empty for all. as_ofs: empty for the
    newest stored snapshot and one half-way to it. folder: keeps all files, for a person to look at.

    Raise UnknownModelError, NothingToVerifyError, ProjectError, WarehouseBusyError.
    """
    project = load_sql(settings)
    chosen = choose_models(project, models)
    with _workspace(settings, folder) as work:
        inputs, stored = _read(settings, project, chosen, as_ofs, work)
        reference = DuckDBEngine(settings, settings.threads)
        with ExitStack() as stack:
            run = _Run(
                project,
                stack.enter_context(reference.open(work / "reference")),
                stack.enter_context(engine.open(work / "engine")),
                stack.enter_context(opened(work / "compare.duckdb", settings, settings.threads)),
                inputs,
                work / "rows",
                is_kept=folder is not None,
            )
            results = run.results(chosen, stored, begin, f"Verifying {engine.version}")
    return Verification(engine.name, engine.version, reference.version, inputs.as_ofs, tuple(results), folder)


def choose_models(project: Project, names: Sequence[str]) -> list[str]:
    """Return models by name or relation in topological order; all for no names. Raise UnknownModelError."""
    known = {model.relation: name for name, model in project.models.items()}
    chosen = set()
    for name in names:
        found = known.get(name, name)
        if found not in project.models:
            near = get_close_matches(name.lower(), [*known, *project.models], 1)
            guess = f"did you mean {near[0]}?" if near else f"the models are {', '.join(project.models)}"
            raise UnknownModelError(f"unknown model {name!r}; {guess}")
        chosen.add(found)
    return [name for name in project.models if name in chosen or not names]


@contextmanager
def _workspace(settings: Settings, folder: Path | None) -> Iterator[Path]:
    """Make a folder for the duration of the block. One that is to be kept appears when all is done."""
    private_umask()
    target = folder.expanduser().resolve() if folder else None
    if target is not None and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise NothingToVerifyError(f"{target} is not an empty folder; --folder needs a new or an empty one")
    parent = target.parent if target else settings.data_dir.resolve()
    if not settings.warehouse_path.exists():
        raise NothingToVerifyError(f"there is no warehouse at {settings.warehouse_path}; run `clm run` first")
    parent.mkdir(parents=True, exist_ok=True)
    # `clm vacuum` knows names like this, should the process be killed.
    with TemporaryDirectory(prefix=".verify-", suffix=".tmp", dir=parent) as name:
        work = Path(name, "work")
        for each in _FOLDERS:
            (work / each).mkdir(parents=True)
        yield work
        if target is not None:
            work.replace(target)


def _read(
    settings: Settings, project: Project, chosen: Sequence[str], as_ofs: Sequence[datetime], work: Path
) -> tuple[Inputs, dict[str, Stored]]:
    """Read the warehouse once, so that inputs, stored rows and the build ledger are of the same instant."""
    with warehouse_of(settings).connect_read_only("verify") as connection:
        if connection is None:
            raise NothingToVerifyError(f"{settings.warehouse_path} is empty; run `clm run` first")
        needed = with_upstream(project, chosen)
        inputs = export_inputs(connection, project, settings, needed, as_ofs, work / "inputs")
        stored = export_stored(connection, project, settings, chosen, needed, inputs, work / "stored")
    return inputs, stored


@dataclass(frozen=True)
class _Run:
    """One verification: two databases, and a connection that compares their files.

    given: the relations of which the engine has the rows of the reference: its own differ, or were not asked for.
    """

    project: Project
    ours: Session
    theirs: Session
    connection: Connection
    inputs: Inputs
    folder: Path
    is_kept: bool
    given: set[str] = field(default_factory=set)

    def results(
        self, chosen: Sequence[str], stored: dict[str, Stored], begin: Begin, title: str
    ) -> list[ModelResult]:
        """Build and compare the chosen models, in topological order."""
        for name, path in self.inputs.files.items():
            self.ours.load(self.project.nodes[name].relation, path)
            self.theirs.load(self.project.nodes[name].relation, path)
        needed = [name for name in with_upstream(self.project, chosen) if name in self.project.models]
        progress = begin(title, len(needed))
        found = []
        for number, name in enumerate(needed, 1):
            model = self.project.models[name]
            if name in stored:
                found.append(self._verify(model, stored[name]))
            else:
                self._take_over(model)
            progress(model.relation, number)
        return found

    def _take_over(self, model: Model) -> None:
        """Build a model that is only read by others, and give its rows to the engine."""
        path = self._path(model, "reference")
        self._build(self.ours, model, self._first(model), path)
        self._give(model, path)
        self._remove(path)

    def _verify(self, model: Model, stored: Stored) -> ModelResult:
        path, other = self._path(model, "reference"), self._path(model, "engine")
        seconds = self._build(self.ours, model, self._first(model), path)
        comparison, ways, error, engine_seconds = None, dict[str, Comparison](), "", 0.0
        try:
            engine_seconds = self._build(self.theirs, model, self._first(model), other)
            comparison = self._compare(model, path, other)
            for way, pieces in other_ways(model, self.inputs.as_ofs, self.inputs.days).items():
                self._build(self.theirs, model, pieces, other)
                ways[way] = self._compare(model, path, other)
            if model.materialized == "state":
                ways |= self._state(model, path)
        except Exception as problem:  # noqa: BLE001 - engines have errors of their own; they are the result
            error = _message(problem)
        if error or any(each.verdict != EQUAL for each in (comparison, *ways.values()) if each):
            self._give(model, path)
        kept = None
        if stored.path is not None:
            kept = self._compare(model, path, stored.path, stored.where, ordered=False)
        rows = comparison.rows if comparison else self._count(path)
        self._remove(path, other, stored.path)
        return ModelResult(
            model.relation,
            model.materialized,
            rows,
            comparison,
            seconds,
            engine_seconds,
            error,
            ways,
            kept,
            stored.why,
            stored.is_stale,
        )

    def _state(self, model: Model, whole: Path) -> dict[str, Comparison]:
        """Compare a state that the engine builds from changed days with one that is built as a whole."""
        days = changed_days(self.inputs.days)
        inputs = ChangingInputs.write(self.ours, self.connection, self.project, model, days, self.folder)
        less, other = self._path(model, "reference.less"), self._path(model, "engine.less")
        try:
            inputs.build_without(self.ours)
            self.ours.write(model.relation, less)
        finally:
            inputs.restore(self.ours)
            self.ours.load(model.relation, whole)
        try:
            inputs.take_away(self.theirs)
            self.theirs.write(model.relation, other)
            gone = self._compare(model, less, other)
            inputs.bring_back(self.theirs)
            self._remove(other)
            self.theirs.write(model.relation, other)
            back = self._compare(model, whole, other)
        finally:
            inputs.restore(self.theirs, self.given)
        self._remove(less, other, *inputs.files)
        return {DAYS_GONE: gone, DAYS_BACK: back}

    def _give(self, model: Model, path: Path) -> None:
        """Replace the engine's rows of a model with those of the reference."""
        self.theirs.load(model.relation, path)
        self.given.add(model.relation)

    def _build(self, session: Session, model: Model, pieces: Sequence[Slice], path: Path) -> float:
        """Build a model and write its rows to a file; return the seconds of the build alone.

        A view has no rows until it is read, so its build includes the writing.
        """
        path.unlink(missing_ok=True)
        start = time.monotonic()
        session.build(self.project, model, pieces, {})
        seconds = time.monotonic() - start
        session.write(model.relation, path)
        return time.monotonic() - start if model.materialized == "view" else seconds

    def _compare(
        self, model: Model, reference: Path, other: Path, where: str = "", ordered: bool = True
    ) -> Comparison:
        hidden = {
            column.name
            for node in self.project.nodes.values()
            for column in node.columns
            if "pii" in column.meta
        }
        shown = {test.column for test in model.all_tests if test.kind == "accepted_values"}
        return compare(self.connection, reference, other, shown, hidden, where, ordered)

    def _first(self, model: Model) -> Sequence[Slice]:
        return first_way(model, self.inputs.as_ofs, self.inputs.days)

    def _count(self, path: Path) -> int:
        return int(self.connection.scalar("select count(*) from read_parquet(?)", [str(path)]))

    def _path(self, model: Model, side: str) -> Path:
        return self.folder / f"{model.relation}.{side}.parquet"

    def _remove(self, *paths: Path | None) -> None:
        for path in paths:
            if path is not None and not self.is_kept:
                path.unlink(missing_ok=True)


def _message(problem: Exception) -> str:
    """Return an error of an engine without values of rows."""
    text = str(problem).strip()
    line = text.splitlines()[0] if text else ""
    return f"{type(problem).__name__}: {_QUOTED.sub('(hidden)', line)}"[:_MOST_CHARACTERS]
