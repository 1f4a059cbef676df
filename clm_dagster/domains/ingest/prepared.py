"""The entry `prepare` of an adapter: files that are made of others before landing.

Belongs here: reading the entry. Does not: writing such files (`preparing`).

A feed returns one row for each row of one file. Where a fact lies in two files, or several facts in one row, the
adapter has a `prepare_<name>.sql`, a query over whole files. Its result is the file `prepared/<name>.parquet`, which
the `files` of tables match as any other.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import check_keys
from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.rendering import Renderer

FOLDER = "prepared"
# What a part of a prepared file, and a file that feeds join, can have.
KEYS = {"files", "columns", "required", "optional"}


@dataclass(frozen=True)
class Part:
    """One kind of files that a prepared file is made of.

    columns: those that the SQL reads; one that is not required is null where a file lacks it. optional: whether the
    files may be missing, which is as if they were empty.
    """

    name: str
    patterns: tuple[str, ...]
    columns: tuple[str, ...]
    required: tuple[str, ...]
    optional: bool = False

    def matches(self, relative: str) -> bool:
        """Whether a file belongs to this part, in any case. relative: its path relative to the input."""
        return any(fnmatchcase(relative.casefold(), pattern.casefold()) for pattern in self.patterns)


@dataclass(frozen=True)
class Prepared:
    """A file that is made of others. sql: the file of its query, in which `file('<part>')` is a relation."""

    name: str
    sql: Path
    parts: tuple[Part, ...]
    renderer: Renderer

    @property
    def relative(self) -> str:
        """The name that the `files` of tables match."""
        return f"{FOLDER}/{self.name}.parquet"


def read_prepared(
    folder: Path, entry: yaml_lines.LinedDict | None, renderer: Renderer
) -> tuple[Prepared, ...]:
    """Return the prepared files of an adapter. Raise InputError with file and line."""
    found = []
    for name, parts in (entry or {}).items():
        sql = folder / f"prepare_{name}.sql"
        if not sql.exists():
            raise InputError(f"{sql} does not exist, but adapter.yml contains the prepared file {name}")
        for key, part in parts.items():
            check_keys(part, KEYS)
            if not part.get("files") or not part.get("columns"):
                raise InputError(f"{parts.where(key)}: {key} requires `files` and `columns`")
        read = tuple(
            Part(
                key,
                tuple(part["files"]),
                tuple(part["columns"]),
                tuple(part.get("required") or part["columns"]),
                bool(part.get("optional")),
            )
            for key, part in yaml_lines.plain(parts).items()
        )
        found.append(Prepared(name, sql, read, renderer))
    return tuple(found)
