"""Read and validate a dbt folder: models, sources, seeds, documentation, data tests, variables.

Belongs here: everything that does not need a database. Does not: running models (`building`), Dagster (`assets`). Every
error in the folder is reported here, with file and line.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.expectations import UnitTest
from clm_dagster.platform.dbt_project.exposures import Exposure
from clm_dagster.platform.dbt_project.materializations import check_materialization, keys_of, kind_of
from clm_dagster.platform.dbt_project.properties import (
    Column,
    Config,
    DataTest,
    Entry,
    Properties,
    read_properties,
)
from clm_dagster.platform.dbt_project.rendering import Capture, Renderer
from clm_dagster.platform.dbt_project.yaml_lines import LinedDict, ProjectError, Where

_SHARED_CONFIG = {"schema", "event_time", "tags", "meta"}
_MODEL_CONFIG = _SHARED_CONFIG | {
    "materialized",
    "incremental_strategy",
    "unique_key",
    "batch_size",
    "begin",
    "full_refresh",
    "post_hook",
}
# Configuration that does not affect the rows of a model, and therefore not its version.
_ROWLESS_CONFIG = {"begin", "tags", "meta"}
# The calendars of partitioned models. An unpartitioned model has None.
DAILY, SNAPSHOT = "daily", "snapshot"


@dataclass(frozen=True)
class Node:
    """A relation with documentation and data tests; the base of models, seeds and sources."""

    name: str
    schema: str
    path: Path
    description: str = ""
    columns: tuple[Column, ...] = ()
    tests: tuple[DataTest, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """The name in SQL, `schema.name`."""
        return f"{self.schema}.{self.name}"

    @property
    def event_time(self) -> str | None:
        """The column with the time of a row, if the node has one."""
        return self.config.get("event_time")

    @property
    def dagster(self) -> dict[str, Any]:
        """The options for Dagster, from `meta.dagster`."""
        return dict(self.config.get("meta", {}).get("dagster", {}))

    @property
    def types(self) -> dict[str, str]:
        """The type of each documented column."""
        return {column.name: column.data_type or "VARCHAR" for column in self.columns}

    @property
    def all_tests(self) -> tuple[DataTest, ...]:
        """The data tests of the node and of its columns."""
        return self.tests + tuple(test for column in self.columns for test in column.tests)


@dataclass(frozen=True)
class Seed(Node):
    """A CSV file of rules that users edit."""

    @cached_property
    def code_version(self) -> str:
        """Hash of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Source(Node):
    """A table that is not written by SQL models, but by the loader or by a domain's Python code."""

    @property
    def partitions(self) -> str | None:
        """The calendar of its partitions, from `meta.dagster.partitions`."""
        return self.dagster.get("partitions")


@dataclass(frozen=True)
class Model(Node):
    """A SQL model. refs: the nodes that it reads, each with the place of the reference."""

    sql: str = ""
    refs: Mapping[str, Where] = field(default_factory=dict)
    code_version: str = ""

    @property
    def materialized(self) -> str:
        """`view`, `table`, `microbatch`, `snapshot` or `state`, see `materializations`."""
        return kind_of(self.config)

    @property
    def unique_key(self) -> list[str]:
        """The columns by which a snapshot or a state replaces its rows."""
        return keys_of(self.config)

    @property
    def window(self) -> str | None:
        """The calendar by which the model is built: daily, snapshot, or None if it is built as a whole."""
        return {"microbatch": DAILY, "snapshot": SNAPSHOT}.get(self.materialized)

    @property
    def is_dated(self) -> bool:
        """Whether it is a table or a state with an `event_time`: without partitions, and its versions are by day."""
        return self.materialized in ("table", "state") and self.event_time is not None

    @property
    def partitions(self) -> str | None:
        """The calendar of its Dagster asset: the window, unless `meta.dagster.partitions` overrides it."""
        stated = self.dagster.get("partitions", self.window)
        return None if stated == "none" else stated

    @property
    def needs(self) -> dict[str, Where]:
        """The nodes that must exist first: all that it reads, and all that its data tests refer to."""
        related = {test.related: test.where for test in self.all_tests if test.related}
        return related | dict(self.refs)


@dataclass(frozen=True)
class Project:
    """A validated dbt folder: every ref resolves, there are no cycles, every name is known."""

    path: Path
    variables: dict[str, Any]
    nodes: dict[str, Node]
    renderer: Renderer
    unit_tests: Mapping[str, UnitTest] = field(default_factory=dict)
    exposures: Mapping[str, Exposure] = field(default_factory=dict)

    @cached_property
    def models(self) -> dict[str, Model]:
        """The models in topological order."""
        return {name: n for name, n in self.nodes.items() if isinstance(n, Model)}

    @cached_property
    def seeds(self) -> dict[str, Seed]:
        """The seeds by name."""
        return {name: n for name, n in self.nodes.items() if isinstance(n, Seed)}

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The source tables by `source.table`."""
        return {name: n for name, n in self.nodes.items() if isinstance(n, Source)}

    def depends_on_snapshots(self, name: str) -> bool:
        """Whether a model is a snapshot model, or reads one directly or indirectly."""
        node = self.nodes[name]
        return isinstance(node, Model) and (
            node.window == SNAPSHOT or any(self.depends_on_snapshots(ref) for ref in node.refs)
        )

    def is_python_table(self, name: str) -> bool:
        """Whether a node is a Python table: written by Python, one snapshot at a time."""
        node = self.nodes[name]
        return isinstance(node, Source) and node.partitions == SNAPSHOT

    @cached_property
    def python_dependents(self) -> list[str]:
        """The models that read a Python table directly or indirectly, in topological order."""
        found: list[str] = []
        for name, model in self.models.items():
            if any(self.is_python_table(ref) or ref in found for ref in model.refs):
                found.append(name)
        return found

    def exposures_of(self, name: str) -> list[Exposure]:
        """Return the exposures that read a node directly."""
        return [exposure for exposure in self.exposures.values() if name in exposure.reads]

    def model(self, name: str) -> Model:
        """Return a model by name. Raise ProjectError, with a list of all models, if it is unknown."""
        found = self.nodes.get(name)
        if not isinstance(found, Model):
            raise ProjectError(f"unknown model {name!r}; the models are {', '.join(self.models)}")
        return found


def load_project(path: Path, **variables: Any) -> Project:
    """Read a dbt folder. variables: override the defaults of dbt_project.yml.

    Raise ProjectError, with file and line, for unknown refs, cycles, unknown configuration or property keys, undefined
    variables or macros, and properties of missing models.
    """
    file = path / "dbt_project.yml"
    settings = yaml_lines.load(file)
    if "name" not in settings:
        raise ProjectError(f"{file}:1: 'name' is missing")
    defaults = yaml_lines.plain(settings.get("vars") or {})
    renderer = Renderer.load(path, defaults | variables, frozenset(defaults))
    properties = read_properties(path)
    nodes: dict[str, Node] = {}
    nodes |= _sources(properties)
    nodes |= _seeds(path, settings, properties)
    nodes |= _models(path, settings, properties, renderer, nodes)
    unit_tests, exposures = properties.unit_tests, properties.exposures
    return _ordered(Project(path, renderer.variables, nodes, renderer, unit_tests, exposures))


# ------------------------------------------------------------------------------- reading


def _sources(properties: Properties) -> dict[str, Source]:
    nodes = {}
    for full_name, entry in properties.sources.items():
        name = full_name.split(".", 1)[1]
        source = Source(name, entry.config.values["schema"], entry.where.path)
        nodes[full_name] = _documented(source, entry, entry.config, _SHARED_CONFIG)
    return nodes


def _seeds(path: Path, settings: LinedDict, properties: Properties) -> dict[str, Seed]:
    nodes: dict[str, Seed] = {}
    for name, file in _files(path, "seeds", "csv", {}).items():
        entry = properties.seeds.get(name, Entry(Where(file, 1)))
        config = _folder_config(settings, "seeds", file.relative_to(path / "seeds").parent)
        config = config.under(entry.config)
        seed = Seed(name, str(config.values.get("schema", "staging")), file)
        nodes[name] = _documented(seed, entry, config, _SHARED_CONFIG)
    _all_there(properties.seeds, nodes, path / "seeds")
    return nodes


def _models(
    path: Path, settings: LinedDict, properties: Properties, renderer: Renderer, others: Mapping[str, Node]
) -> dict[str, Model]:
    nodes: dict[str, Model] = {}
    for name, file in _files(path, "models", "sql", others).items():
        capture = renderer.capture(file)
        entry = properties.models.get(name, Entry(Where(file, 1)))
        stated = Config(capture.config, dict.fromkeys(capture.config, Where(file, capture.config_line)))
        config = _folder_config(settings, "models", file.relative_to(path / "models").parent)
        config = config.under(entry.config).under(stated)
        config.values.setdefault("materialized", "view")
        model = Model(name, str(config.values.get("schema", "main")), file, sql=file.read_text())
        model = _documented(model, entry, config, _MODEL_CONFIG)
        check_materialization(config, Where(file, capture.config_line))
        refs = {ref: Where(file, line) for ref, line in reversed(capture.refs)}
        nodes[name] = replace(
            model,
            refs={ref: refs[ref] for ref, _ in capture.refs},
            code_version=_code_version(capture, config),
        )
    _all_there(properties.models, nodes, path / "models")
    return nodes


def _files(path: Path, folder: str, ending: str, others: Mapping[str, Node]) -> dict[str, Path]:
    """Return the files of a folder by the name used in `ref`. Raise ProjectError for a duplicate name."""
    found: dict[str, Path] = {}
    for file in sorted(path.glob(f"{folder}/**/*.{ending}")):
        other = found.get(file.stem) or (others[file.stem].path if file.stem in others else None)
        if other:
            raise ProjectError(f"{file}:1: the name {file.stem!r} is already used by {other}")
        found[file.stem] = file
    return found


def _all_there(entries: Mapping[str, Entry], nodes: Mapping[str, Node], folder: Path) -> None:
    for name, entry in entries.items():
        if name not in nodes:
            raise ProjectError(f"{entry.where}: {folder} has no {folder.name[:-1]} {name!r}")


def _folder_config(settings: LinedDict, section: str, folder: Path) -> Config:
    """Return the `+key` configuration in dbt_project.yml for a folder. Deeper folders override outer ones."""
    tree = (settings.get(section) or {}).get(settings["name"]) or LinedDict()
    config = Config()
    for part in ("", *folder.parts):
        tree = (tree.get(part) or LinedDict()) if part else tree
        keys = [key for key in tree if key.startswith("+")]
        config = config.under(
            Config({k[1:]: yaml_lines.plain(tree[k]) for k in keys}, {k[1:]: tree.where(k) for k in keys})
        )
    return config


_AnyNode = TypeVar("_AnyNode", bound=Node)


def _documented(node: _AnyNode, entry: Entry, config: Config, known: set[str]) -> _AnyNode:
    """Return the node with its properties. Raise ProjectError for unknown configuration."""
    config.check(known)
    return replace(
        node,
        description=entry.description,
        columns=entry.columns,
        tests=entry.tests,
        config=config.values,
    )


def _code_version(capture: Capture, config: Config) -> str:
    """Return a hash of everything except the inputs that determines the rows of a model."""
    decisive = sorted((k, str(v)) for k, v in config.values.items() if k not in _ROWLESS_CONFIG)
    return hashlib.sha256(f"{capture.sql}\n{decisive}".encode()).hexdigest()[:16]


# ------------------------------------------------------------------------------- resolving


def _ordered(project: Project) -> Project:
    """Check all references, and sort the models topologically."""
    for node in project.nodes.values():
        for test in node.all_tests:
            _exists(project, test.related, test.where)
    for model in project.models.values():
        for ref, where in model.refs.items():
            _exists(project, ref, where)
            if model.window == DAILY:
                _check_daily_input(project, model, ref, where)
    for exposure in project.exposures.values():
        for ref, where in exposure.reads.items():
            _exists(project, ref, where)
    for unit_test in project.unit_tests.values():
        _check_unit_test(project, unit_test)
    graph = {name: model.needs for name, model in project.models.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        steps = [f"{a} -> {b} ({graph[a][b]})" for a, b in pairwise(cycle)]
        raise ProjectError(f"the models have a cyclic dependency: {'; '.join(steps)}") from error
    alone = [name for name in project.nodes if name not in order]
    return replace(project, nodes={name: project.nodes[name] for name in alone + order})


def _check_unit_test(project: Project, test: UnitTest) -> None:
    model = project.models.get(test.model)
    if model is None:
        raise ProjectError(f"{test.where}: unknown model {test.model!r}")
    reads = {ref: project.nodes[ref].types for ref in model.refs}
    test.check(reads, project.seeds, model.types, project.variables)
    if model.window == SNAPSHOT and test.variables.get("as_of") is None:
        raise ProjectError(f"{test.where}: {model.name} is a snapshot model: overrides.vars.as_of is missing")


def _check_daily_input(project: Project, model: Model, ref: str, where: Where) -> None:
    """A row of a state depends on all days before it, so its versions by day do not tell a daily model what changed."""
    node = project.nodes[ref]
    if isinstance(node, Model) and node.materialized == "state":
        raise ProjectError(
            f"{where}: {model.name} is a daily model and reads the state {ref}. Read what {ref} is built from instead."
        )


def _exists(project: Project, name: str | None, where: Where) -> None:
    if name is not None and name not in project.nodes:
        kind = "source" if "." in name else "model or seed"
        raise ProjectError(f"{where}: unknown {kind} {name!r}")
