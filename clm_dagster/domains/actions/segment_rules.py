"""Custom segments: the rules of `seeds/segments.yml`, checked before anything runs.

Belongs here: reading the file, and refusing a condition that is more than a condition. Does not: which rule holds at a
snapshot (`rule_history`), the rows (`segment_table`).
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError, Where

FILE = "seeds/segments.yml"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_KEYS = ("name", "description", "condition")


@dataclass(frozen=True)
class SegmentRule:
    """A segment: its name, its description for people, and the SQL condition that its customers meet."""

    name: str
    description: str
    condition: str

    @property
    def version(self) -> str:
        """Hash of the condition; line breaks and blanks between words do not count."""
        return hashlib.sha256(" ".join(self.condition.split()).encode()).hexdigest()[:12]


def read_rules(folder: Path, columns: Mapping[str, str]) -> tuple[SegmentRule, ...]:
    """Return the segments of a SQL project in the order of the file; none where there is no file.

    columns: the columns that a condition may name, with their DuckDB types. Raise ProjectError, with file and line, for
    a name that is not a name or is given twice, and for a condition that names an unknown column, has a subquery or an
    aggregate, calls a function that reads the clock or a file, or is not true or false.
    """
    path = folder / FILE
    if not path.exists():
        return ()
    content = yaml_lines.mapping(yaml_lines.load(path), Where(path, 1), {"segments"})
    places: dict[str, Where] = {}
    rules = []
    with duckdb.connect() as connection:
        volatile = _unstable_functions(connection)
        for item, where in yaml_lines.sequence(content, "segments"):
            entry = yaml_lines.mapping(item, where, _KEYS, _KEYS)
            name = str(entry["name"])
            if not _NAME.fullmatch(name):
                raise ProjectError(
                    f"{entry.where('name')}: segment {name!r} is not a name; expected small letters, digits and _"
                )
            if name in places:
                raise ProjectError(
                    f"{entry.where('name')}: segment {name!r} is defined twice; first at {places[name]}"
                )
            places[name] = entry.where("name")
            condition = str(entry["condition"]).strip()
            problem = _problem(connection, condition, columns, volatile)
            if problem:
                raise ProjectError(f"{entry.where('condition')}: segment {name}: {problem}")
            rules.append(SegmentRule(name, " ".join(str(entry["description"]).split()), condition))
    return tuple(rules)


def _unstable_functions(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Return the names of functions whose result depends on more than their arguments, such as now and random."""
    rows = connection.execute(
        "select distinct function_name from duckdb_functions() "
        "where stability in ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    ).fetchall()
    return frozenset(name for (name,) in rows)


def _problem(
    connection: duckdb.DuckDBPyConnection,
    condition: str,
    columns: Mapping[str, str],
    unstable: frozenset[str],
) -> str:
    """Return why a text is not a condition over the columns; empty if it is one."""
    parsed = json.loads(
        connection.execute("select json_serialize_sql(?)", [f"select ({condition}\n)"]).fetchall()[0][0]
    )
    if parsed["error"]:
        return f"{condition!r} is not SQL: {parsed['error_message']}"
    if len(parsed["statements"]) != 1:
        return f"{condition!r} is {len(parsed['statements'])} statements; expected one condition"
    node = parsed["statements"][0]["node"]
    if node.get("type") != "SELECT_NODE" or len(node["select_list"]) != 1 or not _is_plain(node):
        return f"{condition!r} is more than a condition; expected an expression such as orders >= 2"
    for part in _parts(node["select_list"][0]):
        kind = part.get("class")
        if kind == "SUBQUERY":
            return "a condition must not have a subquery; name columns of marts.customer_profiles instead"
        if kind == "WINDOW":
            return "a condition must not have a window function"
        if kind == "FUNCTION" and part["function_name"] in unstable:
            return (
                f"{part['function_name']}() gives another result at another time; use the columns, which are as of "
                "the snapshot, such as recency_days"
            )
        if kind == "COLUMN_REF":
            name = part["column_names"][-1]
            if name.lower() not in columns:
                near = difflib.get_close_matches(name.lower(), columns, 1)
                meant = f"; did you mean {near[0]}?" if near else f"; known columns: {', '.join(columns)}"
                return f"marts.customer_profiles has no column {name!r}{meant}"
    return _binding_problem(connection, condition, columns)


def _is_plain(node: Mapping[str, Any]) -> bool:
    """Whether a parsed select is nothing but its one expression."""
    clauses = ("where_clause", "having", "qualify", "sample")
    return (
        node["from_table"]["type"] == "EMPTY"
        and not node["modifiers"]
        and not node["cte_map"]["map"]
        and not node["group_expressions"]
        and all(node.get(clause) is None for clause in clauses)
    )


def _parts(node: Any) -> Iterator[Mapping[str, Any]]:
    """Return an expression of DuckDB's parser and everything below it."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _parts(value)


def _binding_problem(
    connection: duckdb.DuckDBPyConnection, condition: str, columns: Mapping[str, str]
) -> str:
    """Return why DuckDB cannot evaluate a condition row by row; empty if it can."""
    typed = ", ".join(f"cast({_sample(kind)} as {kind}) as {name}" for name, kind in columns.items())
    try:
        found = connection.execute(f"describe select ({condition}\n) as met from (select {typed})").fetchall()
        connection.execute(f"select 1 from (select {typed}) where ({condition}\n)").fetchall()
    except duckdb.Error as error:
        return f"{condition!r} cannot be evaluated: {str(error).splitlines()[0]}"
    if found[0][1] != "BOOLEAN":
        return f"{condition!r} is a {found[0][1]}; expected a condition that is true or false"
    return ""


def _sample(kind: str) -> str:
    """Return a value of a type, so that texts that are no numbers are found before there are rows."""
    if kind == "VARCHAR":
        return "'a'"
    return {"BOOLEAN": "true", "TIMESTAMP": "'2024-01-01'", "DATE": "'2024-01-01'"}.get(kind, "1")
