"""The feeds of an adapter: what one SQL file makes of landed rows, row by row.

Belongs here: one feed's entry in adapter.yml, and the SQL of `row_id` and `fill_down`. Does not: the whole adapter
(`adapter`), loading (`loading`).

A contract table has one feed of its own name, or several under `feeds:`. A feed returns one row for each landed row: a
fact, a rejected row (`reject_reason`), or a row that has nothing to say to it (`skip_reason`).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project import yaml_lines

_FEED_KEYS = {
    "files",
    "time",
    "time_by",
    "columns",
    "required",
    "rules",
    "rejects",
    "skips",
    "whole_files",
}
# A feed's name is a folder of the landing area and a file of the adapter.
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED_NAMES = {"manifests", "prepared"}
# SQL in which a row depends on other rows.
_LOOKS_AT_OTHER_ROWS = re.compile(r"\bover\b|\bgroup\s+by\b|\bwindow\b|\blanded\b.*\blanded\b", re.I | re.S)
_COMMENT = re.compile(r"--[^\n]*|\{#.*?#\}|/\*.*?\*/", re.S)
_SHARED = re.compile(r"""\bshared\(\s*['"](\w+)['"]""")
_EQUAL_ROWS = ("separate", "duplicate")


@dataclass(frozen=True)
class Feed:
    """How a source provides rows of one contract table.

    types: the expected type of each column; all values arrive as text. declared: the columns that adapter.yml lists.
    time: template of the SQL for the timestamp of a row, None for a table without one; time_by: a column whose rows
    share the timestamp above them. whole_files: whether the SQL has to see all rows of a file at once.
    """

    name: str
    contract: ContractTable
    path: Path
    patterns: tuple[str, ...]
    time: str | None
    required: tuple[str, ...]
    types: dict[str, str]
    rules: tuple[str, ...]
    rejects: dict[str, str]
    skips: dict[str, str]
    whole_files: bool
    time_by: str | None = None
    declared: tuple[str, ...] = ()

    def matches(self, relative: str) -> bool:
        """Whether a file belongs to this feed, in any case. relative: its path relative to the input."""
        return any(fnmatchcase(relative.casefold(), pattern.casefold()) for pattern in self.patterns)

    @property
    def reasons(self) -> dict[str, str]:
        """All reject reasons with their descriptions, those of the adapter first."""
        return self.rejects | {r.reason: r.description for r in self.contract.rejects}


def read_feeds(
    folder: Path,
    contract: ContractTable,
    entry: yaml_lines.LinedDict,
    tables: Collection[str],
) -> tuple[Feed, ...]:
    """Return the feeds of a table from its entry in adapter.yml. Raise InputError with file and line.

    Keys beside `feeds` are the defaults of its feeds. tables: the contract's tables.
    """
    check_keys(entry, _FEED_KEYS | {"feeds"})
    if "feeds" not in entry:
        return (_feed(folder, contract.name, yaml_lines.plain(entry), contract),)
    if not entry["feeds"]:
        raise InputError(f"{entry.where('feeds')}: {contract.name} has no feed; expected at least one")
    defaults = yaml_lines.plain({name: value for name, value in entry.items() if name != "feeds"})
    found = []
    for name, own in entry["feeds"].items():
        where = entry["feeds"].where(name)
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _RESERVED_NAMES:
            raise InputError(
                f"{where}: {name!r} is not a name for a feed; expected lower-case letters, digits and underscores"
            )
        if name in tables and name != contract.name:
            raise InputError(f"{where}: the feed {name!r} of {contract.name} has the name of another table")
        check_keys(own or {}, _FEED_KEYS)
        found.append(_feed(folder, name, defaults | yaml_lines.plain(own or {}), contract))
    return tuple(found)


def row_id(feed: Feed, columns: Sequence[str], equal_rows: str = "separate") -> str:
    """Return SQL for an id of rows without one: a hash of columns that tells a missing value from an empty one.

    equal_rows: `separate` counts rows of a file that are equal in these columns and on the same day, in the file's
    order, so that two equal rows are two facts and a row that is delivered again is the same; `duplicate` makes them
    one. Raise InputError for anything else.
    """
    if not columns or equal_rows not in _EQUAL_ROWS:
        raise InputError(
            f"{feed.path}: row_id({', '.join(columns)}, equal_rows={equal_rows!r}): expected columns, and "
            f"equal_rows as one of {', '.join(map(repr, _EQUAL_ROWS))}"
        )
    parts = [f"coalesce({quoting.name(column)}, chr(30))" for column in columns]
    if feed.name != feed.contract.name:
        parts.append(quoting.text(feed.name))  # two feeds may take their ids from the same columns
    if equal_rows == "separate":
        # Counted by day: days are loaded apart from each other, and a later delivery may lack earlier ones.
        same = ", ".join(["_delivery_id", "_event_date", *map(quoting.name, columns)])
        parts.append("coalesce(cast(_event_date as varchar), chr(30))")
        parts.append(f"cast(row_number() over (partition by {same} order by _source_row) as varchar)")
    return f"md5(concat_ws(chr(31), {', '.join(parts)}))"


def fill_down(value: str, by: str) -> str:
    """Return SQL for a value, or where it is missing, the last one above it in the file with the same `by`."""
    return (
        f"last_value({value} ignore nulls) over (partition by _delivery_id, {quoting.name(by)} "
        "order by _source_row rows between unbounded preceding and current row)"
    )


def _feed(folder: Path, name: str, entry: dict[str, Any], contract: ContractTable) -> Feed:
    sql = folder / f"{name}.sql"
    if not sql.exists():
        what = "table" if name == contract.name else f"feed of {contract.name}"
        raise InputError(f"{sql} does not exist, but adapter.yml contains the {what} {name}")
    if contract.time and "time" not in entry:
        raise InputError(f"{folder / 'adapter.yml'}: {name} requires `time`, SQL for {contract.time}")
    by = entry.get("time_by")
    types = entry.get("columns") or {
        column: kind for column, kind in contract.columns.items() if kind != "VARCHAR"
    }
    return Feed(
        name=name,
        contract=contract,
        path=sql,
        patterns=tuple(entry.get("files") or ["*"]),
        time=entry.get("time"),
        required=tuple(entry.get("required") or entry.get("columns") or ()),
        types=types,
        rules=tuple(entry.get("rules") or ()),
        rejects=entry.get("rejects") or {},
        skips=entry.get("skips") or {},
        whole_files=bool(entry.get("whole_files", bool(by) or _needs_whole_files(sql))),
        time_by=by,
        declared=tuple(entry.get("columns") or ()),
    )


def _needs_whole_files(sql: Path) -> bool:
    """Whether a feed's SQL seems to look at other rows of the file: with a window, an aggregate or a join.

    A wrong yes costs time, not correctness.
    """
    text = "\n".join(text_of(sql).values())
    return bool(_LOOKS_AT_OTHER_ROWS.search(text)) or "fill_down" in text


def text_of(sql: Path) -> dict[Path, str]:
    """Return the text of a file of SQL without its comments, and of all that it shares, by path.

    Comments are blank, so that the lines of the text are those of the file.
    """
    found: dict[Path, str] = {}
    left = [sql]
    while left:
        path = left.pop()
        if path in found or not path.exists():
            continue
        found[path] = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), path.read_text())
        left += [path.parent / f"_{name}.sql" for name in _SHARED.findall(found[path])]
    return found


def is_name(value: str) -> bool:
    """Whether a text can be the name of a feed or a source."""
    return bool(_NAME.fullmatch(value))


def check_keys(mapping: Any, known: set[str]) -> None:
    """Raise InputError, with file and line, for a key that is not known."""
    for key in mapping:
        if key not in known:
            raise InputError(
                f"{mapping.where(key)}: unknown key {key!r}; known keys: {', '.join(sorted(known))}"
            )
