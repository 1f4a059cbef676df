"""Errors of DuckDB in the SQL that a person edits: file and line of that file.

Belongs here: from a line of rendered SQL to a line of its template. Does not: rendering (`rendering`), other errors of
DuckDB, such as a full disk.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path

import duckdb

from clm_dagster.errors import UserError
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError

# Errors of the statement or of its data, by DuckDB's classes; all others have nothing to do with the SQL.
_OF_SQL = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError)
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)
# A value of a row that DuckDB quotes. Messages go to logs and webhooks.
_VALUE = re.compile(
    r"((?:string|value|blob|out of range:|format:?)\s+)(['\"]).*?\2", re.IGNORECASE | re.DOTALL
)


@contextmanager
def sql_errors(
    path: Path,
    sql: str,
    shared: Sequence[Path] = (),
    kind: type[UserError] = ProjectError,
    is_whole: bool = True,
) -> Iterator[None]:
    """Raise an error of a kind, with the line of the template, for an error of DuckDB in its SQL.

    path: the template. sql: its rendered text, with which the failing statement begins in its first line. shared: other
    templates that it may include. is_whole: whether `sql` is the rendered template and nothing else; if not, a line is
    named only if the template has the same one.
    """
    try:
        yield
    except _OF_SQL as error:
        # Without the original error: its text may quote rows of the shop.
        raise kind(_message(str(error), path, sql, shared, is_whole)) from None


def _message(text: str, path: Path, sql: str, shared: Sequence[Path], is_whole: bool) -> str:
    message = _VALUE.sub(r"\1(hidden)", _LINE.split(text)[0].strip())
    found = _LINE.search(text)
    templates = [path, *shared]
    place = None
    if found:
        place = (
            locate(int(found[1]), sql, templates)
            if is_whole
            else find_unchanged(int(found[1]), sql, templates)
        )
    if place is None:
        return f"{path}: {message}"
    path, line = place
    source = path.read_text().splitlines()
    shown = source[line - 1].strip() if line <= len(source) else ""
    return f"{path}:{line}: {message}\nThe line is: {shown}"


def locate(line: int, sql: str, templates: Sequence[Path]) -> tuple[Path, int]:
    """Return the template and the line of it that became a line of rendered SQL.

    A line that was rendered unchanged is found as it is; any other by the unchanged lines around it.
    """
    unchanged = find_unchanged(line, sql, templates)
    if unchanged:
        return unchanged
    rendered = _lines(sql)
    lines = _lines(templates[0].read_text())
    nearest = 1
    for _, first, last, start, end in SequenceMatcher(None, rendered, lines, autojunk=False).get_opcodes():
        if first <= line - 1 < last:
            nearest = min(start + (line - 1 - first), max(end - 1, start)) + 1
    return templates[0], min(nearest, max(len(lines), 1))


def find_unchanged(line: int, sql: str, templates: Sequence[Path]) -> tuple[Path, int] | None:
    """Return the template and the line of it that a line of SQL repeats; None if there is none, or several."""
    rendered = _lines(sql)
    wanted = rendered[line - 1] if 0 < line <= len(rendered) else ""
    found = [(p, n) for p in templates for n, text in enumerate(_lines(p.read_text()), 1) if text == wanted]
    return found[0] if wanted and len(found) == 1 else None


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]
