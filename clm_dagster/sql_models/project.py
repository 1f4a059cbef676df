"""Read and check a dbt folder: models, sources, seeds, docs, data tests, variables.

Belongs here: what can be known without a database. Does not: running anything (`building`), or
Dagster (`assets`). Whatever is wrong with the folder is an error here, with file and line.
"""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any

from clm_dagster.sql_models import yaml_lines
from clm_dagster.sql_models.rendering import Capture, Renderer
from clm_dagster.sql_models.yaml_lines import ProjectError, Where

MATERIALIZATIONS = ("view", "table", "incremental")
CONFIG_KEYS = {
    "materialized", "incremental_strategy", "unique_key", "event_time", "batch_size", "begin",
    "schema", "tags", "meta",
}  # fmt: skip
DAGSTER_KEYS = {"group", "owners", "kinds", "partitions"}
TEST_KINDS = {
    "not_null": set(),
    "unique": set(),
    "accepted_values": {"values", "quote"},
    "relationships": {"to", "field"},
}  # fmt: skip
# Two names of the calendar that a model is materialized by; None is "as a whole".
DAILY, SNAPSHOT = "daily", "snapshot"


@dataclass(frozen=True)
class DataTest:
    """One data test, dbt's own four kinds; `column` may be any expression, as in dbt."""

    kind: str
    column: str
    arguments: dict[str, Any]
    severity: str
    where: Where

    @property
    def name(self) -> str:
        """A name for the asset check: kind and column in letters, digits and underscores."""
        column = "".join(c if c.isalnum() else "_" for c in self.column).strip("_")
        while "__" in column:
            column = column.replace("__", "_")
        return f"{self.kind}_{column}"


@dataclass(frozen=True)
class Column:
    """A documented column."""

    name: str
    description: str
    data_type: str | None = None
    tests: tuple[DataTest, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """What models, seeds and source tables share: a relation with docs and tests."""

    name: str
    schema: str
    path: Path
    description: str = ""
    columns: tuple[Column, ...] = ()
    tests: tuple[DataTest, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """`schema.name`, as SQL names it."""
        return f"{self.schema}.{self.name}"

    @property
    def event_time(self) -> str | None:
        """The column that says when a row happened, if the node has one."""
        return self.config.get("event_time")

    @property
    def dagster(self) -> dict[str, Any]:
        """Dagster's own words, from `meta.dagster`."""
        return dict(self.config.get("meta", {}).get("dagster", {}))

    @property
    def all_tests(self) -> tuple[DataTest, ...]:
        """Tests of the node and of its columns."""
        return self.tests + tuple(test for column in self.columns for test in column.tests)


@dataclass(frozen=True)
class Seed(Node):
    """A CSV file of rules that people edit."""

    @cached_property
    def code_version(self) -> str:
        """Hash of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Source(Node):
    """A table that something else writes."""


@dataclass(frozen=True)
class Model(Node):
    """A SQL file."""

    sql: str = ""
    refs: tuple[str, ...] = ()
    code_version: str = ""

    @property
    def materialized(self) -> str:
        """`view`, `table`, `microbatch` or `snapshot`."""
        if self.config["materialized"] != "incremental":
            return str(self.config["materialized"])
        return "microbatch" if self.config["incremental_strategy"] == "microbatch" else "snapshot"

    @property
    def window(self) -> str | None:
        """The calendar that the model is built by: daily, snapshot, or None for as a whole."""
        return {"microbatch": DAILY, "snapshot": SNAPSHOT}.get(self.materialized)

    @property
    def partitions(self) -> str | None:
        """The calendar of its Dagster asset: the window, unless `meta.dagster.partitions` says else."""
        stated = self.dagster.get("partitions", self.window)
        return None if stated == "none" else stated


@dataclass(frozen=True)
class Project:
    """A whole folder, checked: every ref resolves, nothing is cyclic, every name is known."""

    path: Path
    variables: dict[str, Any]
    nodes: dict[str, Node]
    renderer: Renderer

    @property
    def models(self) -> dict[str, Model]:
        """Models in an order in which each comes after what it refers to."""
        return {name: n for name, n in self.nodes.items() if isinstance(n, Model)}

    @property
    def seeds(self) -> dict[str, Seed]:
        """Seeds by name."""
        return {name: n for name, n in self.nodes.items() if isinstance(n, Seed)}

    @property
    def sources(self) -> dict[str, Source]:
        """Source tables by `source.table`."""
        return {name: n for name, n in self.nodes.items() if isinstance(n, Source)}

    def model(self, name: str) -> Model:
        """A model by name. Raises ProjectError that lists those there are."""
        found = self.nodes.get(name)
        if not isinstance(found, Model):
            raise ProjectError(f"no model {name!r}; the models are {', '.join(self.models)}")
        return found


def load_project(path: Path, **variables: Any) -> Project:
    """Read a dbt folder. `variables` go before the defaults of dbt_project.yml.

    Raises ProjectError, with file and line, for unknown refs, cycles, unknown configuration or
    property keys, undefined variables or macros, docs of a model that is not there.
    """
    settings = yaml_lines.load(path / "dbt_project.yml")
    defaults = yaml_lines.plain(settings.get("vars", {}))
    unknown = set(variables) - set(defaults)
    if unknown:
        raise ProjectError(
            f"{path / 'dbt_project.yml'}: vars lacks {', '.join(sorted(unknown))}; dbt needs a default"
        )
    values = defaults | variables
    renderer = Renderer.load(path, values)
    properties = _read_properties(path)
    nodes: dict[str, Node] = {}
    for kind in (_read_sources(path, properties), _read_seeds(path, settings, properties)):
        nodes |= kind
    models = _read_models(path, settings, properties, renderer)
    clash = set(nodes) & set(models)
    if clash:
        raise ProjectError(f"{models[clash.pop()].path}: a seed has the same name")
    nodes |= models
    for name, entry in properties["models"].items():
        if name not in models:
            raise ProjectError(f"{entry.where}: there is no model {name!r} in {path / 'models'}")
    return _resolve(Project(path, values, nodes, renderer))


# ------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Entry:
    content: dict[str, Any]
    where: Where


def _read_properties(path: Path) -> dict[str, dict[str, _Entry]]:
    """Every `models:`, `seeds:` and `sources:` entry of the YAML files, by name."""
    found: dict[str, dict[str, _Entry]] = {"models": {}, "seeds": {}, "sources": {}}
    files = sorted([*path.glob("models/**/*.yml"), *path.glob("seeds/**/*.yml")])
    for file in files:
        content = yaml_lines.load(file)
        for section, entries in content.items():
            if section == "version":
                continue
            if section not in found:
                raise ProjectError(f"{content.where(section)}: unknown section {section!r}")
            for entry in entries:
                if entry["name"] in found[section]:
                    raise ProjectError(f"{entry.where('name')}: {entry['name']!r} stands twice")
                found[section][entry["name"]] = _Entry(entry, entry.where("name"))
    return found


def _read_sources(path: Path, properties: dict[str, dict[str, _Entry]]) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for entry in properties["sources"].values():
        _known_keys(entry.content, {"name", "schema", "description", "config", "tables"})
        schema = entry.content.get("schema", entry.content["name"])
        shared = yaml_lines.plain(entry.content.get("config", {}))
        for table in entry.content["tables"]:
            node = _documented(Source(table["name"], schema, table.where("name").path), table, shared)
            nodes[f"{entry.content['name']}.{table['name']}"] = node
    return nodes


def _read_seeds(
    path: Path, settings: dict[str, Any], properties: dict[str, dict[str, _Entry]]
) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for file in sorted(path.glob("seeds/**/*.csv")):
        config = _folder_config(settings, "seeds", file.relative_to(path / "seeds").parent)
        node: Node = Seed(file.stem, str(config.get("schema", "staging")), file)
        if file.stem in properties["seeds"]:
            node = _documented(node, properties["seeds"][file.stem].content, config)
        nodes[file.stem] = node
    for name, entry in properties["seeds"].items():
        if name not in nodes:
            raise ProjectError(f"{entry.where}: there is no seed {name!r} in {path / 'seeds'}")
    return nodes


def _read_models(
    path: Path,
    settings: dict[str, Any],
    properties: dict[str, dict[str, _Entry]],
    renderer: Renderer,
) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for file in sorted(path.glob("models/**/*.sql")):
        if file.stem in nodes:
            raise ProjectError(f"{file}: there is another model of this name, {nodes[file.stem].path}")
        capture = renderer.capture(file)
        config = _folder_config(settings, "models", file.relative_to(path / "models").parent)
        config |= capture.config
        model = Model(file.stem, str(config.get("schema", "main")), file, sql=file.read_text())
        entry = properties["models"].get(file.stem)
        node = _documented(model, entry.content if entry else {}, config)
        _check_config(node, capture)
        nodes[file.stem] = replace(
            node,
            refs=tuple(dict.fromkeys(capture.refs)),
            code_version=hashlib.sha256(
                (capture.sql + repr(sorted(node.config.items(), key=str))).encode()
            ).hexdigest()[:16],
        )
    return nodes


def _folder_config(settings: dict[str, Any], section: str, folder: Path) -> dict[str, Any]:
    """`+key` settings of dbt_project.yml that hold for a folder, the nearest last."""
    tree = settings.get(section, {}).get(settings["name"], {})
    config: dict[str, Any] = {}
    for part in ("", *folder.parts):
        tree = tree.get(part, {}) if part else tree
        config |= {k[1:]: yaml_lines.plain(v) for k, v in tree.items() if k.startswith("+")}
    return config


def _documented(node: Any, content: dict[str, Any], config: dict[str, Any]) -> Any:
    """Add description, columns, tests and configuration of a YAML entry to a node."""
    if content:
        _known_keys(content, {"name", "description", "config", "columns", "data_tests"})
    own = yaml_lines.plain(content.get("config", {}))
    meta = {**config.get("meta", {}), **own.get("meta", {})}
    merged = {**config, **own} | ({"meta": meta} if meta else {})
    columns = []
    for column in content.get("columns", []):
        _known_keys(column, {"name", "description", "data_type", "data_tests", "config"})
        columns.append(
            Column(
                name=column["name"],
                description=" ".join(str(column.get("description", "")).split()),
                data_type=column.get("data_type"),
                tests=_tests(column.get("data_tests", []), column["name"]),
                meta=yaml_lines.plain(column.get("config", {})).get("meta", {}),
            )
        )
    node = replace(
        node,
        description=str(content.get("description", "")).strip(),
        columns=tuple(columns),
        tests=_tests(content.get("data_tests", []), None),
        config=merged,
    )
    for key in node.dagster:
        if key not in DAGSTER_KEYS:
            raise ProjectError(
                f"{node.path}: meta.dagster has no key {key!r}; known are {', '.join(sorted(DAGSTER_KEYS))}"
            )
    return node


def _tests(entries: list[Any], column: str | None) -> tuple[DataTest, ...]:
    tests = []
    for entry in entries:
        kind, body = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        where = entries.where(entries.index(entry)) if hasattr(entries, "where") else Where(Path(), 0)
        if kind not in TEST_KINDS:
            raise ProjectError(f"{where}: unknown data test {kind!r}; known are {', '.join(TEST_KINDS)}")
        body = yaml_lines.plain(body or {})
        arguments = dict(body.get("arguments", {}))
        target = arguments.pop("column_name", column)
        extra = set(arguments) - TEST_KINDS[kind] | set(body) - {"arguments", "config", "column_name"}
        target = body.get("column_name", target)
        if extra or target is None:
            what = f"unknown argument {extra.pop()!r}" if extra else "a test of a model needs column_name"
            raise ProjectError(f"{where}: {kind}: {what}")
        severity = body.get("config", {}).get("severity", "error")
        tests.append(DataTest(kind, target, arguments, severity, where))
    return tuple(tests)


def _known_keys(entry: Any, known: set[str]) -> None:
    for key in entry:
        if key not in known:
            raise ProjectError(
                f"{entry.where(key)}: unknown key {key!r}; known are {', '.join(sorted(known))}"
            )


def _check_config(model: Model, capture: Capture) -> None:
    where = Where(model.path, capture.config_line)
    for key in model.config:
        if key not in CONFIG_KEYS:
            raise ProjectError(f"{where}: unknown config {key!r}; known are {', '.join(sorted(CONFIG_KEYS))}")
    config = model.config
    materialized = config.setdefault("materialized", "view")
    if materialized not in MATERIALIZATIONS:
        raise ProjectError(f"{where}: materialized={materialized!r}; known are {', '.join(MATERIALIZATIONS)}")
    if materialized != "incremental":
        return
    strategy = config.get("incremental_strategy")
    if strategy == "microbatch":
        needed: dict[str, Any] = {"event_time": None, "batch_size": "day", "begin": None}
    elif strategy == "delete+insert":
        needed = {"unique_key": "as_of"}
    else:
        raise ProjectError(
            f"{where}: incremental_strategy={strategy!r}; known are microbatch and delete+insert"
        )
    for key, value in needed.items():
        if key not in config or (value is not None and config[key] != value):
            found = f"found {config[key]!r}" if key in config else "found nothing"
            raise ProjectError(f"{where}: {strategy} needs {key}={value or '...'!r}, {found}")


# ------------------------------------------------------------------------------- resolving


def _resolve(project: Project) -> Project:
    """Check every ref and put the models in order."""
    graph: dict[str, set[str]] = {}
    lines: dict[tuple[str, str], Where] = {}
    for name, model in project.models.items():
        capture = project.renderer.capture(model.path)
        graph[name] = set(model.refs)
        for ref, line in zip(capture.refs, capture.ref_lines, strict=True):
            lines.setdefault((name, ref), Where(model.path, line))
            if ref not in project.nodes:
                kind = "source" if "." in ref else "model or seed"
                raise ProjectError(f"{lines[name, ref]}: there is no {kind} {ref!r}")
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        steps = [f"{a} -> {b} ({lines[a, b]})" for a, b in pairwise(circle)]
        raise ProjectError(f"models refer to each other in a circle: {'; '.join(steps)}") from error
    for test_owner in project.nodes.values():
        for test in test_owner.all_tests:
            if test.kind == "relationships" and related(test) not in project.nodes:
                raise ProjectError(f"{test.where}: there is no model, seed or source {related(test)!r}")
    return replace(project, nodes={name: project.nodes[name] for name in _stable(order, project)})


def _stable(order: list[str], project: Project) -> list[str]:
    """Sources and seeds that no model refers to keep their place before the models."""
    return [name for name in project.nodes if name not in order] + order


def related(test: DataTest) -> str:
    """The node that a relationships test points at: `ref('x')` or `source('a', 'b')`."""
    inner = test.arguments["to"].split("(", 1)[1].rstrip(")")
    return ".".join(part.strip().strip("'\"") for part in inner.split(","))
