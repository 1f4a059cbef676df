"""The adapter of a source: which files belong to which contract table, and the SQL that maps their columns.

Belongs here: reading and rendering `dbt_like_sql/adapters/<source>/`. Does not: reading input files (`files`), loading
(`loading`). "Bring your own shop" in the documentation explains how to write an adapter.
"""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from clm_dagster.domains.ingest.contract import OPTIONAL, ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.rendering import Renderer

# Columns that identify the origin of each row, from the landing area to the raw tables.
PROVENANCE = ("_delivery_id", "_source_file", "_source_row", "_event_date")
# The range of valid timestamps, which is that of Python's datetime.
CALENDAR = "timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'"
# An offset or the name of a time zone after the time of day.
_ZONED = "([zZ]|[+-][0-9]{2}(:?[0-9]{2})?|[0-9] *[A-Za-z][A-Za-z_/+-]+[0-9]*)$"
_ENCODINGS = ("utf-8", "utf-16", "latin-1")
_TABLE_KEYS = {"files", "time", "columns", "required", "rules", "rejects"}
_ADAPTER_KEYS = {"name", "description", "settings", "csv", "tables"}
_CSV_KEYS = {"delimiter", "quote", "encoding"}


@dataclass(frozen=True)
class AdapterTable:
    """How a source provides the rows of one contract table.

    types: the expected type of each column; all values arrive as text. time: SQL for the timestamp of a row, None for
    a table without one.
    """

    contract: ContractTable
    path: Path
    patterns: tuple[str, ...]
    time: str | None
    required: tuple[str, ...]
    types: dict[str, str]
    rules: tuple[str, ...]
    rejects: dict[str, str]

    def matches(self, relative: str) -> bool:
        """Whether a file belongs to this table. relative: its path relative to the input."""
        return any(fnmatch(relative, pattern) for pattern in self.patterns)

    @property
    def reasons(self) -> dict[str, str]:
        """All reject reasons with their descriptions, those of the adapter first."""
        return self.rejects | {r.reason: r.description for r in self.contract.rejects}


@dataclass(frozen=True)
class Adapter:
    """The adapter of a source, read and validated."""

    name: str
    path: Path
    description: str
    zone: str
    csv: dict[str, str]
    tables: dict[str, AdapterTable]
    renderer: Renderer
    seeds: Path = field(default=Path())

    def landing_version(self, table: str) -> str:
        """Return a hash of everything that determines how a file is landed. If it changes, files are landed again."""
        spec = self.tables[table]
        return _hash([spec.time, self.csv, self.zone])

    def code_version(self, table: str) -> str:
        """Return a hash of everything that determines how landed rows become raw rows."""
        spec = self.tables[table]
        sql = self.sql(table, list(spec.required), "landed")
        return _hash([sql, spec.contract.rejects, spec.contract.columns, spec.contract.fills])

    def sql(self, table: str, columns: Sequence[str], landed: str) -> str:
        """Return the adapter's query over landed rows that have these columns."""
        spec = self.tables[table]
        return self.renderer.render(
            spec.path,
            relation=lambda name: name,
            extra={
                "provenance": lambda: ", ".join(PROVENANCE),
                "landed": lambda: landed,
                "time": lambda: f"({spec.time})",
                "row_id": _row_id,
                "instant": lambda column: instant(column, self.zone),
                "whole": lambda column: whole_number(quoting.name(column)),
                "seed_column": self._seed_column,
                "contract_columns": lambda: self._contract_columns(spec.contract, columns),
            },
        )

    def _seed_column(self, seed: str, column: str) -> list[str]:
        path = self.seeds / f"{seed}.csv"
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or column not in rows[0]:
            raise InputError(f"{path}: expected at least one row, with a column {column!r}")
        return [row[column].replace("'", "''") for row in rows]

    def _contract_columns(self, contract: ContractTable, present: Sequence[str]) -> str:
        wanted = contract.columns | OPTIONAL
        parts = []
        for name, kind in wanted.items():
            if name not in present:
                continue
            text = f"nullif(trim({quoting.name(name)}), '')"
            parts.append(f"{instant(name, self.zone) if kind == 'TIMESTAMP' else text} as {name}")
            if kind == "TIMESTAMP" and name != contract.time:
                parts.append(f"{text} as {name}__text")
        return ", ".join(parts)


def instant(column: str, zone: str) -> str:
    """Return SQL that parses text as a timestamp in the shop's time zone.

    A timestamp with an offset or a time zone is converted. Unreadable text, years outside 1 to 9999 and infinity become
    null.
    """
    text = f"trim({quoting.name(column)})"
    # Most timestamps have the form `2011-06-01 12:34:56` and do not need the regular expression.
    zoned = (
        f"not (length({text}) = 19 and {text}[17] = ':') and contains({text}, ':') "
        f"and regexp_matches({text}, '{_ZONED}')"
    )
    value = (
        f"case when {zoned} then try_cast({text} as timestamptz) at time zone {quoting.text(zone)} "
        f"else try_cast({text} as timestamp) end"
    )
    return f"case when {value} between {CALENDAR} then {value} end"


def whole_number(value: str, kind: str = "BIGINT") -> str:
    """Return SQL that parses an integer. A number with a fraction becomes null, where DuckDB would round it."""
    return (
        f"case when try_cast({value} as decimal(38, 9)) = try_cast({value} as {kind}) "
        f"then try_cast({value} as {kind}) end"
    )


def load_adapter(folder: Path, contract: dict[str, ContractTable], renderer: Renderer, zone: str) -> Adapter:
    """Read the adapter of a source. Raise InputError with file and line."""
    path = folder / "adapter.yml"
    content = yaml_lines.load(path)
    _check_keys(content, _ADAPTER_KEYS)
    options = yaml_lines.plain(content.get("csv") or {})
    _check_keys(content.get("csv") or {}, _CSV_KEYS)
    encoding = options.get("encoding", _ENCODINGS[0])
    if encoding not in _ENCODINGS:
        raise InputError(
            f"{content['csv'].where('encoding')}: {encoding!r} is not a supported encoding; "
            f"expected one of {', '.join(_ENCODINGS)}"
        )
    for option in ("delimiter", "quote"):
        if len(str(options.get(option, "x"))) != 1:
            raise InputError(
                f"{content['csv'].where(option)}: csv.{option} is {options[option]!r}; expected one character"
            )
    if "tables" not in content:
        raise InputError(
            f"{path}: the key `tables` is missing; expected the contract tables that the source provides"
        )
    tables: dict[str, AdapterTable] = {}
    for name, entry in content["tables"].items():
        if name not in contract:
            raise InputError(
                f"{content['tables'].where(name)}: the contract has no table {name!r}; "
                f"it has {', '.join(contract)}"
            )
        _check_keys(entry, _TABLE_KEYS)
        tables[name] = _table(folder, name, yaml_lines.plain(entry), contract[name], zone)
    if "events" not in tables:
        raise InputError(f"{path}: the table events is required")
    return Adapter(
        name=folder.name,
        path=folder,
        description=" ".join(str(content.get("description", "")).split()),
        zone=zone,
        csv={"delimiter": ",", "quote": '"', "encoding": encoding} | options,
        tables=tables,
        renderer=renderer,
        seeds=folder.parent.parent / "seeds",
    )


def _table(
    folder: Path, name: str, entry: dict[str, Any], contract: ContractTable, zone: str
) -> AdapterTable:
    sql = folder / f"{name}.sql"
    if not sql.exists():
        raise InputError(f"{sql} does not exist, but adapter.yml contains the table {name}")
    if contract.time and "time" not in entry:
        raise InputError(f"{folder / 'adapter.yml'}: {name} requires `time`, SQL for {contract.time}")
    time = entry.get("time")
    if time and "instant(" in time:  # the only macro that is supported in adapter.yml
        column = time.split("instant(", 1)[1].split(")")[0].strip("'\" ")
        time = instant(column, zone)
    types = entry.get("columns") or {
        column: kind for column, kind in contract.columns.items() if kind != "VARCHAR"
    }
    return AdapterTable(
        contract=contract,
        path=sql,
        patterns=tuple(entry.get("files") or ["*"]),
        time=time,
        required=tuple(entry.get("required") or entry.get("columns") or ()),
        types=types,
        rules=tuple(entry.get("rules") or ()),
        rejects=entry.get("rejects") or {},
    )


def _row_id(*columns: str) -> str:
    """Return SQL for a hash of columns that distinguishes a missing value from an empty one."""
    parts = ", ".join(f"coalesce({quoting.name(column)}, chr(30))" for column in columns)
    return f"md5(concat_ws(chr(31), {parts}))"


def _check_keys(mapping: Any, known: set[str]) -> None:
    for key in mapping:
        if key not in known:
            raise InputError(
                f"{mapping.where(key)}: unknown key {key!r}; known keys: {', '.join(sorted(known))}"
            )


def _hash(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
