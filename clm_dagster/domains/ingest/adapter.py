"""The adapter of a source: which files feed which contract table, and the SQL that maps their columns.

Belongs here: reading and rendering `dbt_like_sql/adapters/<source>/`. Does not: one feed and its SQL (`feeds`), reading
input files (`files`), loading (`loading`). "Bring your own shop" in the documentation explains how to write an adapter.
"""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clm_dagster.domains.ingest.contract import OPTIONAL, ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import Feed, check_keys, fill_down, read_feeds, row_id
from clm_dagster.domains.ingest.identifiers import customer, identifier
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.rendering import Renderer

# Columns that identify the origin of each row, from the landing area to the raw tables.
PROVENANCE = ("_delivery_id", "_source_file", "_source_row", "_event_date")
# The range of valid timestamps, which is that of Python's datetime.
CALENDAR = "timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'"
# An offset or the name of a time zone after the time of day.
_ZONED = "([zZ]|[+-][0-9]{2}(:?[0-9]{2})?|[0-9] *[A-Za-z][A-Za-z_/+-]+[0-9]*)$"
# Change this when rows are loaded into the raw tables or counted in the ledger in another way.
_LOADING_VERSION = "feeds"
_ENCODINGS = ("utf-8", "utf-16", "latin-1")
_ADAPTER_KEYS = {"name", "description", "settings", "csv", "tables"}
_CSV_KEYS = {"delimiter", "quote", "encoding"}


@dataclass(frozen=True)
class Adapter:
    """The adapter of a source, read and validated."""

    name: str
    path: Path
    description: str
    zone: str
    csv: dict[str, str]
    tables: dict[str, tuple[Feed, ...]]
    renderer: Renderer
    seeds: Path = field(default=Path())
    no_customer: tuple[str, ...] = ()

    @property
    def feeds(self) -> dict[str, Feed]:
        """All feeds by name, those of one table together."""
        return {feed.name: feed for feeds in self.tables.values() for feed in feeds}

    def reasons(self, table: str) -> dict[str, str]:
        """Return all reject reasons of a table with their descriptions, those of the adapter first."""
        return {reason: text for feed in self.tables[table] for reason, text in feed.reasons.items()}

    def landing_version(self, feed: str) -> str:
        """Return a hash of everything that determines how a file is landed. If it changes, files are landed again."""
        spec = self.feeds[feed]
        own = [] if feed == spec.contract.name else [spec.contract.name]
        return _hash([spec.time, self.csv, self.zone, *own])

    def code_version(self, table: str) -> str:
        """Return a hash of everything that determines how landed rows become raw rows."""
        feeds = self.tables[table]
        sql = [(f.name, f.whole_files, self.sql(f.name, list(f.required), "landed")) for f in feeds]
        contract = feeds[0].contract
        return _hash([sql, contract.rejects, contract.columns, contract.fills, _LOADING_VERSION])

    def sql(self, feed: str, columns: Sequence[str], landed: str) -> str:
        """Return the query of a feed over landed rows that have these columns."""
        spec = self.feeds[feed]
        return self.renderer.render(
            spec.path,
            relation=lambda name: name,
            extra={
                "provenance": lambda: ", ".join(PROVENANCE),
                "landed": lambda: landed,
                "time": lambda: f"({spec.time})",
                "row_id": lambda *names, equal_rows="separate": row_id(spec, names, equal_rows),
                "fill_down": lambda column, by: fill_down(quoting.name(column), by),
                "instant": lambda column: instant(column, self.zone),
                "whole": lambda column: whole_number(quoting.name(column)),
                "identifier": lambda column: identifier(quoting.name(column)),
                "customer": lambda column: customer(quoting.name(column), self.no_customer),
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
            parts.append(f"{self._contract_value(name, kind, text)} as {name}")
            if name == "customer_id" or (kind == "TIMESTAMP" and name != contract.time):
                parts.append(f"{text} as {name}__text")
        return ", ".join(parts)

    def _contract_value(self, name: str, kind: str, text: str) -> str:
        if name == "customer_id":
            return customer(quoting.name(name), self.no_customer)
        if name.endswith("_id"):
            return identifier(quoting.name(name))
        return instant(name, self.zone) if kind == "TIMESTAMP" else text


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


def load_adapter(
    folder: Path,
    contract: dict[str, ContractTable],
    renderer: Renderer,
    zone: str,
    no_customer: Sequence[str] = (),
) -> Adapter:
    """Read the adapter of a source. Raise InputError with file and line.

    no_customer: customer ids that mean a guest.
    """
    path = folder / "adapter.yml"
    content = yaml_lines.load(path)
    check_keys(content, _ADAPTER_KEYS)
    options = yaml_lines.plain(content.get("csv") or {})
    check_keys(content.get("csv") or {}, _CSV_KEYS)
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
    tables: dict[str, tuple[Feed, ...]] = {}
    for name, entry in content["tables"].items():
        if name not in contract:
            raise InputError(
                f"{content['tables'].where(name)}: the contract has no table {name!r}; "
                f"it has {', '.join(contract)}"
            )
        tables[name] = read_feeds(
            folder, contract[name], entry, set(contract), lambda column: instant(column, zone)
        )
    named = [feed.name for feeds in tables.values() for feed in feeds]
    for feed in named:
        if named.count(feed) > 1:
            raise InputError(f"{path}: two tables have a feed {feed!r}; a feed needs a name of its own")
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
        no_customer=tuple(no_customer),
    )


def _hash(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
