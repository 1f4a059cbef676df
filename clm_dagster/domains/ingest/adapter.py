"""The adapter of a source: which files belong to which contract table, and the SQL that maps their columns.

Belongs here: reading and rendering `dbt_like_sql/adapters/<source>/`. Does not: reading input files (`files`), the SQL
of single values (`values`), loading (`loading`). "Bring your own shop" in the documentation explains how to write an
adapter.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from clm_dagster.domains.ingest import values
from clm_dagster.domains.ingest.column_formats import INSTANT, NUMBER, WHOLE, kind_of
from clm_dagster.domains.ingest.contract import OPTIONAL, ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats.encodings import is_codec
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.rendering import Renderer

# Columns that identify the origin of each row, from the landing area to the raw tables.
PROVENANCE = ("_delivery_id", "_source_file", "_source_row", "_event_date")
# Raised when files are landed differently, so that they are landed again.
_LANDING = 2
_TABLE_KEYS = {"files", "time", "columns", "required", "rules", "rejects"}
_ADAPTER_KEYS = {"name", "description", "settings", "csv", "dates", "numbers", "tables"}
_CSV_KEYS = {"delimiter", "quote", "encoding"}
_STYLES = {
    "dates": (values.DAY_FIRST, values.MONTH_FIRST),
    "numbers": (values.DECIMAL_POINT, values.DECIMAL_COMMA),
}


@dataclass(frozen=True)
class AdapterTable:
    """How a source provides the rows of one contract table.

    types: the expected type of each column; all values arrive as text. declared: the columns that adapter.yml lists.
    time: template of the SQL for the timestamp of a row, None for a table without one.
    """

    contract: ContractTable
    path: Path
    patterns: tuple[str, ...]
    time: str | None
    required: tuple[str, ...]
    types: dict[str, str]
    rules: tuple[str, ...]
    rejects: dict[str, str]
    declared: tuple[str, ...] = ()

    def matches(self, relative: str) -> bool:
        """Whether a file belongs to this table, in any case. relative: its path relative to the input."""
        return any(fnmatchcase(relative.casefold(), pattern.casefold()) for pattern in self.patterns)

    @property
    def reasons(self) -> dict[str, str]:
        """All reject reasons with their descriptions, those of the adapter first."""
        return self.rejects | {r.reason: r.description for r in self.contract.rejects}


@dataclass(frozen=True)
class Reads:
    """What an adapter's SQL reads of a table's files. kinds: column -> instant, number or whole. known: all names."""

    kinds: dict[str, str]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Adapter:
    """The adapter of a source, read and validated.

    csv: only the settings that adapter.yml gives. dates, numbers: the style of columns with two readings, if given.
    """

    name: str
    path: Path
    description: str
    zone: str
    csv: dict[str, str]
    tables: dict[str, AdapterTable]
    renderer: Renderer
    seeds: Path = field(default=Path())
    dates: str | None = None
    numbers: str | None = None
    _reads: dict[str, Reads] = field(default_factory=dict, compare=False, repr=False)

    def landing_version(self, table: str) -> str:
        """Return a hash of everything that determines how a file is landed. If it changes, files are landed again."""
        read = self.reads(table)
        styles = [self.dates, self.numbers, sorted(read.kinds.items()), read.known]
        return _hash([_LANDING, self.time_sql(table), self.csv, self.zone, styles])

    def code_version(self, table: str) -> str:
        """Return a hash of everything that determines how landed rows become raw rows."""
        spec = self.tables[table]
        sql = self.sql(table, list(spec.required), "landed")
        return _hash([sql, spec.contract.rejects, spec.contract.columns])

    def sql(
        self, table: str, columns: Sequence[str], landed: str, styles: Mapping[str, str] | None = None
    ) -> str:
        """Return the adapter's query over landed rows that have these columns. styles: column -> style."""
        spec = self.tables[table]
        absent = [name for name in spec.declared if name not in columns]
        if absent:
            nulls = ", ".join(f"cast(null as varchar) as {quoting.name(name)}" for name in absent)
            landed = f"(select *, {nulls} from {landed})"
        return self.renderer.render(
            spec.path, relation=lambda name: name, extra=self._macros(table, columns, landed, styles or {})
        )

    def time_sql(self, table: str, styles: Mapping[str, str] | None = None) -> str | None:
        """Return SQL for the timestamp of a landed row, None for a table without one."""
        spec = self.tables[table]
        if spec.time is None:
            return None
        return self._time(spec, self._value_macros(styles or {}))

    def reads(self, table: str) -> Reads:
        """Return the columns that the SQL of a table reads, found by rendering it."""
        if table not in self._reads:
            spec = self.tables[table]
            found = {name: kind for name, sql in spec.types.items() if (kind := kind_of(sql))}
            known = dict.fromkeys([*spec.declared, *spec.required])
            contract = spec.contract.columns | OPTIONAL

            def note(kind: str) -> Any:
                return lambda column: found.update({column: found.get(column, kind)}) or "null"

            def contract_columns() -> str:
                known.update(dict.fromkeys(contract))
                found.update({n: k for n, sql in contract.items() if (k := kind_of(sql)) and n not in found})
                return "null"

            noting = {"instant": note(INSTANT), "number": note(NUMBER), "whole": note(WHOLE)}
            noting["identifier"] = lambda column: known.update({column: None}) or "null"
            if spec.time is not None:
                self._time(spec, noting)
            extra = self._macros(table, list(known), "landed", {}) | noting
            self.renderer.render(
                spec.path, relation=lambda name: name, extra=extra | {"contract_columns": contract_columns}
            )
            self._reads[table] = Reads(found, tuple(known | dict.fromkeys(found)))
        return self._reads[table]

    def _time(self, spec: AdapterTable, macros: Mapping[str, Any]) -> str:
        assert spec.time is not None
        where = f"{self.path / 'adapter.yml'}: `time` of {spec.contract.name}"
        return self.renderer.render_text(spec.time, where, dict(macros))

    def _value_macros(self, styles: Mapping[str, str]) -> dict[str, Any]:
        return {
            "instant": lambda column: values.instant(column, self.zone, styles.get(column, "")),
            "number": lambda column: values.number(column, styles.get(column, "")),
            "whole": lambda column: values.whole(column, styles.get(column, "")),
            "identifier": values.identifier,
        }

    def _macros(
        self, table: str, columns: Sequence[str], landed: str, styles: Mapping[str, str]
    ) -> dict[str, Any]:
        spec = self.tables[table]
        return self._value_macros(styles) | {
            "provenance": lambda: ", ".join(PROVENANCE),
            "landed": lambda: landed,
            "time": lambda: f"({self.time_sql(table, styles)})",
            "row_id": _row_id,
            "seed_column": self._seed_column,
            "contract_columns": lambda: self._contract_columns(spec.contract, columns, styles),
        }

    def _seed_column(self, seed: str, column: str) -> list[str]:
        path = self.seeds / f"{seed}.csv"
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or column not in rows[0]:
            raise InputError(f"{path}: expected at least one row, with a column {column!r}")
        return [row[column].replace("'", "''") for row in rows]

    def _contract_columns(
        self, contract: ContractTable, present: Sequence[str], styles: Mapping[str, str]
    ) -> str:
        parts = []
        for name, sql_type in (contract.columns | OPTIONAL).items():
            if name not in present:
                continue
            text, kind = f"nullif(trim({quoting.name(name)}), '')", kind_of(sql_type)
            value, style = text, styles.get(name, "")
            if kind == INSTANT:
                value = values.instant(name, self.zone, style)
            elif kind and style:
                value = values.number_text(name, style)
            parts.append(f"{value} as {name}")
            if value != text and name != contract.time:
                parts.append(f"{text} as {name}__text")
        return ", ".join(parts)


def load_adapter(folder: Path, contract: dict[str, ContractTable], renderer: Renderer, zone: str) -> Adapter:
    """Read the adapter of a source. Raise InputError with file and line."""
    path = folder / "adapter.yml"
    content = yaml_lines.load(path)
    _check_keys(content, _ADAPTER_KEYS)
    options = yaml_lines.plain(content.get("csv") or {})
    _check_keys(content.get("csv") or {}, _CSV_KEYS)
    if "encoding" in options and not is_codec(options["encoding"]):
        raise InputError(
            f"{content['csv'].where('encoding')}: Python knows no encoding {options['encoding']!r}; expected a name "
            "such as utf-8, cp1252, latin-1, utf-16, gbk, big5, shift_jis"
        )
    for option in ("delimiter", "quote"):
        if len(str(options.get(option, "x"))) != 1:
            raise InputError(
                f"{content['csv'].where(option)}: csv.{option} is {options[option]!r}; expected one character"
            )
    for key, known in _STYLES.items():
        if content.get(key, known[0]) not in known:
            raise InputError(
                f"{content.where(key)}: {key} is {content[key]!r}; expected {' or '.join(known)}, or no such key"
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
        tables[name] = _table(folder, name, yaml_lines.plain(entry), contract[name])
    if "events" not in tables:
        raise InputError(f"{path}: the table events is required")
    return Adapter(
        name=folder.name,
        path=folder,
        description=" ".join(str(content.get("description", "")).split()),
        zone=zone,
        csv={key: str(value) for key, value in options.items()},
        tables=tables,
        renderer=renderer,
        seeds=folder.parent.parent / "seeds",
        dates=content.get("dates"),
        numbers=content.get("numbers"),
    )


def _table(folder: Path, name: str, entry: dict[str, Any], contract: ContractTable) -> AdapterTable:
    sql = folder / f"{name}.sql"
    if not sql.exists():
        raise InputError(f"{sql} does not exist, but adapter.yml contains the table {name}")
    if contract.time and "time" not in entry:
        raise InputError(f"{folder / 'adapter.yml'}: {name} requires `time`, SQL for {contract.time}")
    types = entry.get("columns") or {
        column: kind for column, kind in contract.columns.items() if kind != "VARCHAR"
    }
    return AdapterTable(
        contract=contract,
        path=sql,
        patterns=tuple(entry.get("files") or ["*"]),
        time=entry.get("time"),
        required=tuple(entry.get("required") or entry.get("columns") or ()),
        types=types,
        rules=tuple(entry.get("rules") or ()),
        rejects=entry.get("rejects") or {},
        declared=tuple(entry.get("columns") or ()),
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
