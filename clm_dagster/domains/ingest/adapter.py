"""The adapter of a source: which files feed which contract table, and the SQL that maps their columns.

Belongs here: reading and rendering `dbt_like_sql/adapters/<source>/`. Does not: one feed's entry (`feeds`), reading
input files (`files`), the SQL of single values (`values`, `identifiers`), loading (`loading`). "Bring your own shop" in
the documentation explains how to write an adapter.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clm_dagster.domains.ingest import joins, values
from clm_dagster.domains.ingest.column_formats import INSTANT, NUMBER, WHOLE, kind_of
from clm_dagster.domains.ingest.contract import OPTIONAL, ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import Feed, check_keys, fill_down, read_feeds, row_id
from clm_dagster.domains.ingest.formats.encodings import is_codec
from clm_dagster.domains.ingest.identifiers import customer, identifier
from clm_dagster.domains.ingest.prepared import Part, Prepared, read_prepared
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.rendering import Renderer
from clm_dagster.settings.shared import shipped_sql_dir

# Columns that identify the origin of each row, from the landing area to the raw tables.
PROVENANCE = ("_delivery_id", "_source_file", "_source_row", "_event_date")
# Change this when files are landed in another way, so that they are landed again.
_LANDING_VERSION = 2
# Change this when rows are loaded into the raw tables or counted in the ledger in another way.
_LOADING_VERSION = "spread keys"
_ADAPTER_KEYS = {
    "name",
    "description",
    "settings",
    "csv",
    "dates",
    "numbers",
    "exports",
    "prepare",
    "lookups",
    "include",
    "tables",
}
_CSV_KEYS = {"delimiter", "quote", "encoding"}
_STYLES = {
    "dates": (values.DAY_FIRST, values.MONTH_FIRST),
    "numbers": (values.DECIMAL_POINT, values.DECIMAL_COMMA),
}


@dataclass(frozen=True)
class Reads:
    """What the SQL of a feed reads of its files.

    kinds: column -> instant, number or whole. known: the names that it uses; a column of another spelling gets them.
    lookups: the other files of a delivery that it joins.
    """

    kinds: dict[str, str]
    known: tuple[str, ...]
    lookups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Adapter:
    """The adapter of a source, read and validated.

    csv: only the settings that adapter.yml gives. dates, numbers: the style of columns with two readings, if given.
    no_customer: customer ids that mean a guest. prepared: files that are made of others before landing. lookups: files
    that feeds join, by name.
    """

    name: str
    path: Path
    description: str
    zone: str
    csv: dict[str, str]
    tables: dict[str, tuple[Feed, ...]]
    renderer: Renderer
    seeds: Path = field(default=Path())
    no_customer: tuple[str, ...] = ()
    dates: str | None = None
    numbers: str | None = None
    prepared: tuple[Prepared, ...] = ()
    lookups: dict[str, Part] = field(default_factory=dict)
    _reads: dict[str, Reads] = field(default_factory=dict, compare=False, repr=False)

    @property
    def feeds(self) -> dict[str, Feed]:
        """All feeds by name, those of one table together."""
        return {feed.name: feed for feeds in self.tables.values() for feed in feeds}

    def reasons(self, table: str) -> dict[str, str]:
        """Return all reject reasons of a table with their descriptions, those of the adapter first."""
        return {reason: text for feed in self.tables[table] for reason, text in feed.reasons.items()}

    def landing_version(self, feed: str) -> str:
        """Return a hash of everything that determines how a file is landed. If it changes, files are landed again."""
        spec, read = self.feeds[feed], self.reads(feed)
        own = [] if feed == spec.contract.name else [spec.contract.name]
        styles = [self.dates, self.numbers, sorted(read.kinds.items()), read.known]
        return _hash([_LANDING_VERSION, self.time_sql(feed), self.csv, self.zone, styles, *own])

    def code_version(self, table: str) -> str:
        """Return a hash of everything that determines how landed rows become raw rows."""
        feeds = self.tables[table]
        sql = [(f.name, f.whole_files, self.sql(f.name, list(f.required), "landed")) for f in feeds]
        contract = feeds[0].contract
        return _hash([sql, contract.rejects, contract.columns, contract.fills, _LOADING_VERSION])

    def sql(
        self, feed: str, columns: Sequence[str], landed: str, styles: Mapping[str, str] | None = None
    ) -> str:
        """Return the query of a feed over landed rows that have these columns. styles: column -> style."""
        spec = self.feeds[feed]
        absent = [name for name in spec.declared if name not in columns]
        if absent:
            nulls = ", ".join(f"cast(null as varchar) as {quoting.name(name)}" for name in absent)
            landed = f"(select *, {nulls} from {landed})"
        return self.renderer.render(
            spec.path, relation=lambda name: name, extra=self._macros(spec, columns, landed, styles or {})
        )

    def time_sql(self, feed: str, styles: Mapping[str, str] | None = None) -> str | None:
        """Return SQL for the timestamp of a landed row, None for a feed without one."""
        spec = self.feeds[feed]
        if spec.time is None:
            return None
        sql = self._time(spec, self._value_macros(styles or {}))
        return fill_down(f"({sql})", spec.time_by) if spec.time_by else sql

    def reads(self, feed: str) -> Reads:
        """Return the columns that the SQL of a feed reads, found by rendering it."""
        if feed not in self._reads:
            spec = self.feeds[feed]
            joined: dict[str, None] = {}
            found = {name: kind for name, sql in spec.types.items() if (kind := kind_of(sql))}
            known = dict.fromkeys([*spec.declared, *spec.required])
            contract = spec.contract.columns | OPTIONAL

            def note_kind(kind: str) -> Callable[[str], str]:
                def note(column: str) -> str:
                    found.setdefault(column, kind)
                    return note_names(column)

                return note

            def note_names(*columns: str) -> str:
                known.update(dict.fromkeys(columns))
                return "null"

            def contract_columns() -> str:
                known.update(dict.fromkeys(contract))
                found.update({n: k for n, sql in contract.items() if (k := kind_of(sql)) and n not in found})
                return "null"

            def note_lookup(name: str) -> str:
                joined[name] = None
                return self._delivery(spec, name)

            noting: dict[str, Any] = {
                "instant": note_kind(INSTANT),
                "instant_utc": note_kind(INSTANT),
                "number": note_kind(NUMBER),
                "number_text": note_kind(NUMBER),
                "whole": note_kind(WHOLE),
                "identifier": note_names,
                "customer": note_names,
                "fill_down": note_names,
                "delivery": note_lookup,
            }
            if spec.time is not None:
                self._time(spec, noting)
            if spec.time_by is not None:
                note_names(spec.time_by)
            extra = self._macros(spec, list(known), "landed", {}) | noting
            extra["contract_columns"] = contract_columns
            extra["shared"] = lambda name, **given: self._shared(spec.path.parent, name, extra | given)
            self.renderer.render(spec.path, relation=lambda name: name, extra=extra)
            self._reads[feed] = Reads(found, tuple(known), tuple(joined))
        return self._reads[feed]

    def _time(self, spec: Feed, macros: Mapping[str, Any]) -> str:
        assert spec.time is not None
        where = f"{self.path / 'adapter.yml'}: `time` of {spec.name}"
        return self.renderer.render_text(spec.time, where, dict(macros))

    def _value_macros(self, styles: Mapping[str, str]) -> dict[str, Any]:
        return {
            "instant": lambda column: values.instant(column, self.zone, styles.get(column, "")),
            "instant_utc": lambda column: values.instant_utc(column, self.zone, styles.get(column, "")),
            "number": lambda column: values.number(column, styles.get(column, "")),
            "number_text": lambda column: values.number_text(column, styles.get(column, "")),
            "whole": lambda column: values.whole(column, styles.get(column, "")),
            "identifier": lambda column: identifier(quoting.name(column)),
            "customer": lambda column: customer(quoting.name(column), self.no_customer),
        }

    def _macros(
        self, spec: Feed, columns: Sequence[str], landed: str, styles: Mapping[str, str]
    ) -> dict[str, Any]:
        macros = self._value_macros(styles) | {
            "provenance": lambda: ", ".join(PROVENANCE),
            "landed": lambda: landed,
            "time": lambda: f"({self.time_sql(spec.name, styles)})",
            "row_id": lambda *names, equal_rows="separate": row_id(spec, names, equal_rows),
            "fill_down": lambda column, by: fill_down(quoting.name(column), by),
            "seed_column": lambda seed, column: self._seed_column(spec.path.parent, seed, column),
            "contract_columns": lambda: self._contract_columns(spec.contract, columns, styles),
            "seed": lambda name: self.seed(spec, name),
            "delivery": lambda name: self._delivery(spec, name),
        }
        macros["shared"] = lambda name, **given: self._shared(spec.path.parent, name, macros | given)
        return macros

    def _shared(self, folder: Path, name: str, macros: dict[str, Any]) -> str:
        """Return the SQL that the feeds of a folder share, of `_<name>.sql`.

        macros: those of the feed, and the values that it gives.
        """
        path = folder / f"_{name}.sql"
        if not path.exists():
            raise InputError(f"{path} does not exist, but the adapter uses shared('{name}')")
        return self.renderer.render(path, relation=lambda relation: relation, extra=macros)

    def seed(self, spec: Feed, name: str) -> str:
        """Return SQL for the rows of a seed that a feed reads. Raise InputError."""
        return joins.seed_relation(joins.seed_path(spec.path.parent, self.seeds, name))

    def _delivery(self, spec: Feed, name: str) -> str:
        if name not in self.lookups:
            raise InputError(
                f"{spec.path}: delivery({name!r}), but `lookups` in adapter.yml has no file of this name."
                f"{joins.nearest(name, self.lookups)}"
            )
        return joins.view_of(name)

    def _seed_column(self, folder: Path, seed: str, column: str) -> list[str]:
        path = joins.seed_path(folder, self.seeds, seed)
        header, rows = joins.read_seed(path)
        if column not in header:
            raise InputError(
                f"{path}: expected a column {column!r}; found {', '.join(header)}."
                f"{joins.nearest(column, header)}"
            )
        place = header.index(column)
        return [row[place].replace("'", "''") for row in rows]

    def _contract_columns(
        self, contract: ContractTable, present: Sequence[str], styles: Mapping[str, str]
    ) -> str:
        """Return the contract's columns that a file has. The text of those that are parsed is `<column>__text`."""
        parts = []
        for name, sql_type in (contract.columns | OPTIONAL).items():
            if name not in present:
                continue
            text = f"nullif(trim({quoting.name(name)}), '')"
            value = self._contract_value(name, kind_of(sql_type), text, styles.get(name, ""))
            parts.append(f"{value} as {name}")
            parsed = kind_of(sql_type) is not None and value != text and name != contract.time
            if parsed or name == "customer_id":
                parts.append(f"{text} as {name}__text")
        return ", ".join(parts)

    def _contract_value(self, name: str, kind: str | None, text: str, style: str) -> str:
        if name == "customer_id":
            return customer(quoting.name(name), self.no_customer)
        if name.endswith("_id"):
            return identifier(quoting.name(name))
        if kind == INSTANT:
            return values.instant(name, self.zone, style)
        return values.number_text(name, style) if kind and style else text


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
    tables = _tables(folder, content, contract)
    prepared = read_prepared(folder, content.get("prepare"), renderer)
    lookups = joins.read_lookups(folder, content.get("lookups"))
    for other in yaml_lines.plain(content.get("include") or []):
        other_folder = _included(content, folder, str(other))
        included = yaml_lines.load(other_folder / "adapter.yml")
        for name, feeds in _tables(other_folder, included, contract).items():
            tables[name] = (*tables.get(name, ()), *feeds)
        prepared += read_prepared(other_folder, included.get("prepare"), renderer)
        lookups += joins.read_lookups(other_folder, included.get("lookups"))
    named = [feed.name for feeds in tables.values() for feed in feeds]
    for name in named:
        if named.count(name) > 1:
            raise InputError(f"{path}: two tables have a feed {name!r}; a feed needs a name of its own")
    for name in (lookup.name for lookup in lookups):
        if [lookup.name for lookup in lookups].count(name) > 1:
            raise InputError(f"{path}: two included adapters have a lookup {name!r}; rename one")
    by_name = {lookup.name: lookup for lookup in lookups}
    seeds = folder.parent.parent / "seeds"
    for feed in (feed for feeds in tables.values() for feed in feeds):
        joins.check_references(feed, by_name, seeds)
    if "events" not in tables:
        raise InputError(
            f"{path}: the table events is required. An adapter without it adds to another one, which has "
            f"`include: [{folder.name}]` in its adapter.yml"
        )
    return Adapter(
        name=folder.name,
        path=folder,
        description=" ".join(str(content.get("description", "")).split()),
        zone=zone,
        csv={key: str(value) for key, value in options.items()},
        tables=tables,
        renderer=renderer,
        seeds=seeds,
        no_customer=tuple(no_customer),
        dates=content.get("dates"),
        numbers=content.get("numbers"),
        prepared=prepared,
        lookups=by_name,
    )


def _tables(
    folder: Path, content: yaml_lines.LinedDict, contract: dict[str, ContractTable]
) -> dict[str, tuple[Feed, ...]]:
    """Return the feeds of an adapter's own tables. Raise InputError."""
    tables = {}
    for name, entry in content["tables"].items():
        if name not in contract:
            raise InputError(
                f"{content['tables'].where(name)}: the contract has no table {name!r}; "
                f"it has {', '.join(contract)}"
            )
        tables[name] = read_feeds(folder, contract[name], entry, set(contract))
    return tables


def _included(content: yaml_lines.LinedDict, folder: Path, name: str) -> Path:
    """Return the folder of an adapter that another one includes: beside it, or of the shipped ones."""
    for found in (folder.parent / name, shipped_sql_dir() / "adapters" / name):
        if (found / "adapter.yml").exists():
            return found
    raise InputError(
        f"{content.where('include')}: there is no adapter {name!r} beside {folder} or among the shipped ones"
    )


def _hash(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
