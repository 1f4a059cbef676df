"""Run unit tests: build a model from the given rows and compare its rows with the expected ones.

Belongs here: the tables of a test in a separate schema, and a readable difference. Does not: the YAML format
(`expectations`), building a model (`building`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.expectations import Fixture, UnitTest, Value
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.warehouse import Connection

SCHEMA = "unit_test"
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class UnitTestResult:
    """Result of a unit test: expected and actual rows as text, in the columns that the test expects."""

    test: UnitTest
    columns: Sequence[str]
    expected: Sequence[Row]
    actual: Sequence[Row]

    @property
    def passed(self) -> bool:
        """Whether both have the same rows equally often, in any order."""
        return Counter(self.expected) == Counter(self.actual)

    def explain(self) -> str:
        """Return both as one table: `-` marks missing rows, `+` marks unexpected rows."""
        missing = Counter(self.expected) - Counter(self.actual)
        extra = Counter(self.actual) - Counter(self.expected)
        both = Counter(self.expected) & Counter(self.actual)
        marked = [("-", row) for row in missing.elements()] + [("+", row) for row in extra.elements()]
        marked += [(" ", row) for row in both.elements()]
        lines = [(" ", tuple(self.columns)), *sorted(marked, key=lambda line: [str(v) for v in line[1]])]
        texts = [[mark, *("null" if v is None else v for v in row)] for mark, row in lines]
        widths = [max(len(text[i]) for text in texts) for i in range(len(self.columns) + 1)]
        table = [" ".join(v.ljust(w) for v, w in zip(text, widths, strict=True)).rstrip() for text in texts]
        return "\n".join(
            [
                f"{self.test.model}: unit test {self.test.name} ({self.test.where})",
                f"{len(self.expected)} rows expected, {len(self.actual)} found; - missing, + unexpected",
                *table,
            ]
        )


def run_unit_test(connection: Connection, project: Project, test: UnitTest) -> UnitTestResult:
    """Build the model from the given rows and seeds only, and return its rows.

    Raise ProjectError, with file and line, for a value that does not have the type of its column.
    """
    connection.execute(f"drop schema if exists {SCHEMA} cascade")
    connection.execute(f"create schema {SCHEMA}")
    try:
        given = {}
        for name, fixture in test.given.items():
            if fixture is None:  # a seed, which `build` loads from its file
                continue
            given[name] = f"{SCHEMA}.given__{name.replace('.', '__')}"
            _store(connection, given[name], fixture, project.nodes[name].types)
        instants = {name: _instant(test, name) for name in ("as_of", "known_at")}
        built = build(connection, _with_variables(project, test), [test.model], SCHEMA, given, **instants)
        types = project.model(test.model).types
        columns = list(test.expect.columns) or list(types)
        _store(connection, f"{SCHEMA}.expected", test.expect, {name: types[name] for name in columns})
        actual = _texts(connection, built[test.model], columns)
        return UnitTestResult(test, columns, _texts(connection, f"{SCHEMA}.expected", columns), actual)
    finally:
        connection.execute(f"drop schema {SCHEMA} cascade")


def _with_variables(project: Project, test: UnitTest) -> Project:
    variables = project.variables | dict(test.variables)
    return replace(project, variables=variables, renderer=replace(project.renderer, variables=variables))


def _instant(test: UnitTest, name: str) -> datetime | None:
    value = test.variables.get(name)
    if value is None:
        return None
    try:
        return datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ProjectError(f"{test.places[name]}: {name} is {value!r}; expected a timestamp") from error


def _store(connection: Connection, relation: str, fixture: Fixture, types: Mapping[str, str]) -> None:
    """Create a table with these columns and insert the rows. Columns that a row does not name are null."""
    listed = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    connection.execute(f"create table {relation} ({listed})")
    for row in fixture.rows:
        if not row:
            continue
        names = ", ".join(f'"{name}"' for name in row)
        values = ", ".join(f"cast(? as {types[name]})" for name in row)
        try:
            connection.execute(
                f"insert into {relation} ({names}) values ({values})",
                [_text(value) for value in row.values()],
            )
        except duckdb.Error as error:
            raise ProjectError(f"{fixture.where}: {dict(row)}: {error}") from error


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _texts(connection: Connection, relation: str, columns: Sequence[str]) -> list[Row]:
    listed = ", ".join(f'cast("{name}" as varchar)' for name in columns)
    return connection.execute(f"select {listed} from {relation}")
