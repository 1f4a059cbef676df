"""Unit tests in YAML: rows given to a model, and the rows expected from it.

Belongs here: reading unit tests, and checking every name in them, with file and line. Does not: running them
(`unit_tests`).

The format is dbt's. Rows are mappings (`format: dict`, the default) or a block of CSV (`format: csv`), in which empty
fields are null. Columns that the given rows do not name are null. A seed without rows is read from its own file.
"""

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from io import StringIO

from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.references import parse_reference
from clm_dagster.platform.dbt_project.yaml_lines import LinedDict, ProjectError, Where

FORMATS = ("dict", "csv")
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Fixture:
    """Rows of one table. columns: the place where each column is first named."""

    rows: tuple[Mapping[str, Value], ...]
    columns: Mapping[str, Where]
    where: Where


@dataclass(frozen=True)
class UnitTest:
    """The rows expected from a model for given rows and variables."""

    name: str
    model: str
    description: str
    given: Mapping[str, Fixture | None]  # by the name of the node; None for a seed that is read from its file
    expect: Fixture
    variables: Mapping[str, Value]
    where: Where
    places: Mapping[str, Where]  # of the variables and of the given tables

    def check(
        self,
        reads: Mapping[str, Collection[str]],
        seeds: Collection[str],
        columns: Collection[str],
        variables: Collection[str],
    ) -> None:
        """Raise ProjectError if the test names an unknown node, column or variable.

        reads: the columns of all nodes that the model reads. seeds: the nodes that may be given without rows.
        """
        for name, fixture in self.given.items():
            if name not in reads:
                raise ProjectError(
                    f"{self.places[name]}: {self.model} does not read {name!r}; it reads {', '.join(reads)}"
                )
            if fixture is not None:
                _check_columns(fixture, name, reads[name])
            elif name not in seeds:
                raise ProjectError(f"{self.places[name]}: 'rows' is missing: {name} is not a seed")
        for name in reads:
            if name not in self.given:
                raise ProjectError(f"{self.where}: {self.model} reads {name!r}, which is missing in `given`")
        _check_columns(self.expect, self.model, columns)
        for name in self.variables:
            if name not in variables:
                raise ProjectError(
                    f"{self.places[name]}: unknown variable {name!r}; known variables: {', '.join(sorted(variables))}"
                )


def read_unit_test(item: object, where: Where) -> UnitTest:
    """Read one entry of `unit_tests`. Raise ProjectError, with file and line, for an unknown key."""
    known = {"name", "model", "description", "given", "expect", "overrides"}
    content = yaml_lines.mapping(item, where, known, {"name", "model", "given", "expect"})
    given: dict[str, Fixture | None] = {}
    places: dict[str, Where] = {}
    for entry, place in yaml_lines.sequence(content, "given"):
        table = yaml_lines.mapping(entry, place, {"input", "format", "rows"}, {"input"})
        name = parse_reference(table["input"], table.where("input"), "input")
        if name in given:
            raise ProjectError(f"{place}: {name!r} is given twice; the first is at {places[name]}")
        given[name] = None if table.get("rows") is None else _fixture(table, place)
        places[name] = place
    place = content.where("expect")
    expect = _fixture(yaml_lines.mapping(content["expect"], place, {"format", "rows"}, {"rows"}), place)
    for row in expect.rows:
        if set(row) != set(expect.columns):
            raise ProjectError(
                f"{place}: all expected rows must have the same columns: {', '.join(expect.columns)}"
            )
    variables = _variables(content)
    return UnitTest(
        name=str(content["name"]),
        model=str(content["model"]),
        description=" ".join(str(content.get("description") or "").split()),
        given=given,
        expect=expect,
        variables=dict(variables),
        where=content.where("name"),
        places=places | {name: variables.where(name) for name in variables},
    )


def _variables(content: LinedDict) -> LinedDict:
    empty = LinedDict()
    if content.get("overrides") is None:
        return empty
    overrides = yaml_lines.mapping(content["overrides"], content.where("overrides"), {"vars", "macros"})
    if "macros" in overrides:
        known = {"is_incremental"}
        macros = yaml_lines.mapping(overrides["macros"], overrides.where("macros"), known, known)
        if macros["is_incremental"] is not False:
            raise ProjectError(
                f"{macros.where('is_incremental')}: is_incremental is {macros['is_incremental']!r}; expected false: a "
                "unit test builds its model from scratch"
            )
    if overrides.get("vars") is None:
        return empty
    return yaml_lines.mapping(overrides["vars"], overrides.where("vars"), overrides["vars"])


def _fixture(content: LinedDict, where: Where) -> Fixture:
    form = content.get("format", "dict")
    if form not in FORMATS:
        raise ProjectError(
            f"{content.where('format')}: format is {form!r}; expected one of {', '.join(FORMATS)}"
        )
    rows = _csv_rows(content) if form == "csv" else _dict_rows(content)
    columns: dict[str, Where] = {}
    for row, place in rows:
        for name in row:
            columns.setdefault(name, row.where(name) if isinstance(row, LinedDict) else place)
    return Fixture(tuple(dict(row) for row, _ in rows), columns, where)


def _dict_rows(content: LinedDict) -> list[tuple[Mapping[str, Value], Where]]:
    rows = yaml_lines.sequence(content, "rows")
    for row, place in rows:
        for name, value in yaml_lines.mapping(row, place, row).items():
            # dbt writes such a value into the SQL without quotes, where 2024-01-01 evaluates to 2022.
            if isinstance(value, date):
                raise ProjectError(f"{row.where(name)}: {name}: write {value} in quotes")
            if not isinstance(value, Value):
                raise ProjectError(f"{row.where(name)}: {name}: expected text or a number, found {value!r}")
    return rows


def _csv_rows(content: LinedDict) -> list[tuple[Mapping[str, Value], Where]]:
    start = content.where("rows")
    if not isinstance(content["rows"], str):
        raise ProjectError(f"{start}: format: csv expects text (rows: |), found {content['rows']!r}")
    header, *lines = csv.reader(StringIO(content["rows"]))
    rows: list[tuple[Mapping[str, Value], Where]] = []
    for number, fields in enumerate(lines, start=2):
        place = Where(start.path, start.line + number)
        if len(fields) != len(header):
            raise ProjectError(
                f"{place}: expected {len(header)} fields ({', '.join(header)}), found {len(fields)}"
            )
        rows.append(({name: field or None for name, field in zip(header, fields, strict=True)}, place))
    return rows


def _check_columns(fixture: Fixture, name: str, known: Collection[str]) -> None:
    for column, where in fixture.columns.items():
        if column not in known:
            raise ProjectError(
                f"{where}: {name} has no documented column {column!r}; it has {', '.join(known) or 'none'}"
            )
