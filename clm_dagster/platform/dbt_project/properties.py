"""Property files: the YAML files beside models, seeds and sources, validated.

Belongs here: descriptions, columns, data tests, and configuration with the place of every value. Unit tests and
exposures have their own modules. Does not: SQL (`rendering`), checking that referenced nodes exist (`project`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.expectations import UnitTest, read_unit_test
from clm_dagster.platform.dbt_project.exposures import Exposure, read_exposure
from clm_dagster.platform.dbt_project.references import parse_reference
from clm_dagster.platform.dbt_project.yaml_lines import LinedDict, ProjectError, Where

SEVERITIES = ("error", "warn")
# dbt's four data tests with their required arguments.
TEST_ARGUMENTS: dict[str, set[str]] = {
    "not_null": set(),
    "unique": set(),
    "accepted_values": {"values"},
    "relationships": {"to", "field"},
}
_OPTIONAL_ARGUMENTS = {"column_name", "quote"}
# `chart`: whether Python shows a chart of the table.
DAGSTER_KEYS = {"group", "owners", "kinds", "partitions", "chart"}
_SECTIONS = {"version", "models", "seeds", "sources", "unit_tests", "exposures"}
# Valid values of `meta.dagster.partitions`.
CALENDARS = ("daily", "snapshot", "none")


@dataclass(frozen=True)
class DataTest:
    """One of dbt's four generic data tests. column: a column or, as in dbt, any SQL expression."""

    kind: str
    column: str
    arguments: dict[str, Any]
    severity: str
    where: Where

    @property
    def name(self) -> str:
        """The name of the asset check: kind and column in letters, digits and underscores."""
        words = "".join(c if c.isalnum() else " " for c in self.column).split()
        return "_".join([self.kind, *words])

    @property
    def related(self) -> str | None:
        """The node to which a relationships test refers: `ref('x')` or `source('a', 'b')`."""
        if self.kind != "relationships":
            return None
        return parse_reference(self.arguments["to"], self.where, "relationships: to")


@dataclass(frozen=True)
class Column:
    """A documented column."""

    name: str
    description: str
    data_type: str | None = None
    tests: tuple[DataTest, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """Configuration, with the place of each key."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Where] = field(default_factory=dict)

    def under(self, nearer: "Config") -> "Config":
        """Return both merged; `nearer` has priority. As in dbt, `meta` is merged by key."""
        values = self.values | nearer.values
        if "meta" in self.values and "meta" in nearer.values:
            values["meta"] = self.values["meta"] | nearer.values["meta"]
        return Config(values, self.places | nearer.places)

    def check(self, known: set[str]) -> None:
        """Raise ProjectError for an unknown key, including keys of `meta.dagster`."""
        for key in self.values:
            if key not in known:
                raise ProjectError(
                    f"{self.places[key]}: unknown config {key!r}; known keys: {', '.join(sorted(known))}"
                )
        dagster = self.values.get("meta", {}).get("dagster", {})
        for key in dagster:
            if key not in DAGSTER_KEYS:
                raise ProjectError(
                    f"{self.places['meta']}: unknown key {key!r} in meta.dagster; "
                    f"known keys: {', '.join(sorted(DAGSTER_KEYS))}"
                )
        if dagster.get("partitions", "none") not in CALENDARS:
            raise ProjectError(
                f"{self.places['meta']}: meta.dagster.partitions is {dagster['partitions']!r}; "
                f"expected one of {', '.join(CALENDARS)}"
            )


@dataclass(frozen=True)
class Entry:
    """The properties of one model, seed or source table."""

    where: Where
    description: str = ""
    columns: tuple[Column, ...] = ()
    tests: tuple[DataTest, ...] = ()
    config: Config = field(default_factory=Config)


@dataclass(frozen=True)
class Properties:
    """All entries of all property files, by name; source tables by `source.table`."""

    models: dict[str, Entry] = field(default_factory=dict)
    seeds: dict[str, Entry] = field(default_factory=dict)
    sources: dict[str, Entry] = field(default_factory=dict)
    unit_tests: dict[str, UnitTest] = field(default_factory=dict)
    exposures: dict[str, Exposure] = field(default_factory=dict)


def read_properties(folder: Path) -> Properties:
    """Read the YAML files beside models and seeds. Raise ProjectError, with file and line."""
    found = Properties()
    for file in sorted([*folder.glob("models/**/*.yml"), *folder.glob("seeds/**/*.yml")]):
        loaded = yaml_lines.load(file)
        if file.stem in loaded and file.stem not in _SECTIONS:
            continue  # rules that people edit as YAML, under the name of the file; a domain reads them
        content = yaml_lines.mapping(loaded, Where(file, 1), _SECTIONS)
        for section, entries in (("models", found.models), ("seeds", found.seeds)):
            for item, where in yaml_lines.sequence(content, section):
                _add(entries, item, where, "", Config())
        for item, where in yaml_lines.sequence(content, "sources"):
            source = yaml_lines.mapping(
                item, where, {"name", "schema", "description", "config", "tables"}, {"name", "tables"}
            )
            schema = Config({"schema": source.get("schema", source["name"])}, {"schema": where})
            for table, place in yaml_lines.sequence(source, "tables"):
                _add(found.sources, table, place, f"{source['name']}.", _config(source).under(schema))
        for item, where in yaml_lines.sequence(content, "unit_tests"):
            _put(found.unit_tests, read_unit_test(item, where))
        for item, where in yaml_lines.sequence(content, "exposures"):
            _put(found.exposures, read_exposure(item, where))
    return found


_Named = TypeVar("_Named", UnitTest, Exposure)


def _put(entries: dict[str, _Named], entry: _Named) -> None:
    _once(entry.name, entry.where, entries)
    entries[entry.name] = entry


def _once(name: str, where: Where, entries: Mapping[str, "Entry | UnitTest | Exposure"]) -> None:
    if name in entries:
        raise ProjectError(
            f"{where}: {name!r} is defined twice; the first definition is at {entries[name].where}"
        )


def _add(entries: dict[str, Entry], item: Any, where: Where, prefix: str, shared: Config) -> None:
    known = {"name", "description", "config", "columns", "data_tests"}
    content = yaml_lines.mapping(item, where, known, {"name"})
    name = prefix + str(content["name"])
    _once(name, content.where("name"), entries)
    columns = tuple(_column(*column) for column in yaml_lines.sequence(content, "columns"))
    tests = _tests(content, None)
    names = [test.name for test in (*tests, *(t for column in columns for t in column.tests))]
    for duplicate in {test for test in names if names.count(test) > 1}:
        raise ProjectError(f"{content.where('name')}: {name} has the data test {duplicate} twice")
    entries[name] = Entry(
        where=content.where("name"),
        description=str(content.get("description") or "").strip(),
        columns=columns,
        tests=tests,
        config=shared.under(_config(content)),
    )


def _config(content: LinedDict) -> Config:
    config = content.get("config")
    if config is None:
        return Config()
    places = {key: config.where(key) for key in yaml_lines.mapping(config, content.where("config"), config)}
    return Config(yaml_lines.plain(config), places)


def _column(item: Any, where: Where) -> Column:
    known = {"name", "description", "data_type", "data_tests", "config"}
    content = yaml_lines.mapping(item, where, known, {"name"})
    return Column(
        name=content["name"],
        description=" ".join(str(content.get("description") or "").split()),
        data_type=content.get("data_type"),
        tests=_tests(content, content["name"]),
        meta=_config(content).values.get("meta", {}),
    )


def _tests(content: LinedDict, column: str | None) -> tuple[DataTest, ...]:
    return tuple(_test(item, where, column) for item, where in yaml_lines.sequence(content, "data_tests"))


def _test(item: Any, where: Where, column: str | None) -> DataTest:
    """Read one data test: a name, or a name with `arguments`, `column_name` and `config`."""
    entry = {item: {}} if isinstance(item, str) else yaml_lines.plain(item)
    (kind, body), *more = entry.items() if isinstance(entry, dict) else [(entry, {})]
    if kind not in TEST_ARGUMENTS or more:
        raise ProjectError(f"{where}: unknown data test {kind!r}; known tests: {', '.join(TEST_ARGUMENTS)}")
    body = dict(body or {})
    config, arguments = body.pop("config", {}), body.pop("arguments", {}) | body
    wanted = TEST_ARGUMENTS[kind]
    for name in set(arguments) - wanted - _OPTIONAL_ARGUMENTS:
        raise ProjectError(f"{where}: {kind}: unknown argument {name!r}")
    for name in wanted - set(arguments):
        raise ProjectError(f"{where}: {kind}: the argument {name!r} is missing")
    column = arguments.pop("column_name", column)
    if column is None:
        raise ProjectError(f"{where}: {kind}: a data test of a model requires column_name")
    severity = str(config.get("severity", "error")).lower()
    if severity not in SEVERITIES:
        raise ProjectError(
            f"{where}: {kind}: severity is {severity!r}; expected one of {', '.join(SEVERITIES)}"
        )
    return DataTest(kind, column, arguments, severity, where)
