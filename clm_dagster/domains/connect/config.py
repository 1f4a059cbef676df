"""connectors.yml: which tables and files are pulled from where.

Belongs here: reading and checking that file, without its secrets and without dlt. Does not: reading from the sources
(`sources`, `copying`), environment variables (`platform.secrets`).
"""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clm_dagster.domains.connect.errors import ConnectorError
from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.settings import Settings
from clm_dagster.settings.shared import shipped_sql_dir

SQL, FILES, REST = "sql", "files", "rest"
EXTRA = "pip install 'clm-dagster[connectors]'"
CONNECTORS_HELP = (
    "there are no connectors: the setting CLM_CONNECTORS names no file. Write a file such as connectors.yml and set "
    "CLM_CONNECTORS=connectors.yml; see 'Connectors' in the documentation"
)
# Of connectors and tables: names of assets, jobs of dlt, folders and files.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_KEYS = {
    SQL: {"type", "url", "schema", "tables", "chunk_rows", "options"},
    FILES: {"type", "url", "pattern", "options", "folder"},
    REST: {"type", "preset", "config", "tables"},
}
_REQUIRED = {SQL: ("url", "tables"), FILES: ("url",), REST: ()}
_TABLE_KEYS = {
    SQL: {"cursor", "key", "lag", "columns", "file", "table"},
    REST: {"key", "file", "explode"},
}
_EXPLODE_KEYS = {"arrays", "columns"}
# The one asset of a connector of files.
ALL_FILES = "files"


@dataclass(frozen=True)
class Explode:
    """Arrays of a row that become rows of their own. columns: fields of an element that become columns."""

    arrays: tuple[str, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class PulledTable:
    """One table, or all files, of a connector.

    key: columns that identify a row. cursor: column that grows whenever a row changes; None for a full copy. lag:
    seconds, or units of a number, that the cursor goes back in each pull. file: start of the names of its files.
    table: its name in the source. columns: those to pull, all if empty.
    """

    connector: str
    name: str
    file: str
    table: str
    key: tuple[str, ...] = ()
    cursor: str | None = None
    lag: float = 0
    columns: tuple[str, ...] = ()
    explode: Explode | None = None

    @property
    def title(self) -> str:
        """The name for messages."""
        return f"{self.connector}.{self.name}"


@dataclass(frozen=True)
class Connector:
    """A source of tables or files. entry: its keys as they are written, secrets as `${NAME}`. where: file and line.

    preset: the content of the preset of a REST source.
    """

    name: str
    kind: str
    where: str
    entry: Mapping[str, Any]
    tables: tuple[PulledTable, ...] = ()
    preset: Mapping[str, Any] = field(default_factory=dict)


def read_connectors(path: Path | None, settings: Settings) -> list[Connector]:
    """Return the connectors of a file; none without one. Raise ConnectorError, ProjectError with file and line.

    Raise ConnectorError also if the optional packages are not installed.
    """
    if path is None:
        return []
    content = yaml_lines.load(path.expanduser().resolve())
    yaml_lines.mapping(content, yaml_lines.Where(content.path, 1), {"connectors"}, {"connectors"})
    entries = content["connectors"]
    if not isinstance(entries, yaml_lines.LinedDict):
        raise ConnectorError(
            f"{content.where('connectors')}: expected names of connectors, found {entries!r}"
        )
    found = [_connector(name, entry, entries.where(name), settings) for name, entry in entries.items()]
    if found:
        _check_installed(path)
        _check_inbox(settings, path)
    return found


def preset_folders(settings: Settings) -> list[Path]:
    """Return the folders of presets: that of the SQL folder, and the shipped one."""
    return list(dict.fromkeys([settings.sql_dir.resolve() / "connectors", shipped_sql_dir() / "connectors"]))


def _check_installed(path: Path) -> None:
    for package in ("dlt", "dagster_dlt"):
        if importlib.util.find_spec(package) is None:
            raise ConnectorError(
                f"{path} has connectors (setting CLM_CONNECTORS), but the package {package} is not installed; "
                f"run\n  {EXTRA}"
            )


def _check_inbox(settings: Settings, path: Path) -> None:
    inbox = Path(settings.input).expanduser()
    if inbox.is_file() or any(sign in str(inbox) for sign in "*?["):
        raise ConnectorError(
            f"{path} has connectors (setting CLM_CONNECTORS), which write to a folder, but CLM_INPUT is "
            f"{settings.input}; set CLM_INPUT to a folder"
        )


def _connector(name: Any, entry: Any, where: yaml_lines.Where, settings: Settings) -> Connector:
    _check_name(name, "connector", where)
    every = set().union(*_KEYS.values())
    # A REST source may have the parameters of its preset as keys.
    kind = entry.get("type") if isinstance(entry, yaml_lines.LinedDict) else None
    checked = yaml_lines.mapping(entry, where, set(entry) if kind == REST else every, ("type",))
    if kind not in _KEYS:
        raise ConnectorError(f"{checked.where('type')}: type is {kind!r}; expected one of {', '.join(_KEYS)}")
    is_preset = kind == REST and "preset" in checked
    preset = _preset(checked, settings) if is_preset else {}
    yaml_lines.mapping(entry, where, _KEYS[kind] | set(preset.get("parameters") or {}), _REQUIRED[kind])
    if kind == REST and is_preset == ("config" in checked):
        raise ConnectorError(f"{where}: a connector of type rest needs either `preset` or `config`")
    for parameter, default in (preset.get("parameters") or {}).items():
        if default is None and parameter not in checked:
            raise ConnectorError(f"{where}: the preset {checked['preset']} needs {parameter!r}")
    if kind == FILES:
        tables: tuple[PulledTable, ...] = (PulledTable(name, ALL_FILES, "", ""),)
    elif kind == SQL:
        tables = _tables(name, kind, checked, {}, where)
    else:
        tables = _tables(name, kind, checked, _rest_tables(checked, preset, where), where)
    return Connector(name, kind, str(where), yaml_lines.plain(checked), tables, preset)


def _preset(entry: yaml_lines.LinedDict, settings: Settings) -> dict[str, Any]:
    folders = preset_folders(settings)
    for folder in folders:
        path = folder / f"{entry['preset']}.yml"
        if path.exists():
            content: dict[str, Any] = yaml_lines.plain(yaml_lines.load(path))
            return content
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yml")})
    raise ConnectorError(
        f"{entry.where('preset')}: there is no preset {entry['preset']!r}; the presets are {', '.join(known)}"
    )


def _rest_tables(
    entry: yaml_lines.LinedDict, preset: Mapping[str, Any], where: yaml_lines.Where
) -> dict[str, dict[str, Any]]:
    """Return the tables that a REST source has, with the options of its preset."""
    if preset:
        return {name: dict(options or {}) for name, options in preset["tables"].items()}
    resources = (entry["config"] or {}).get("resources") if isinstance(entry["config"], dict) else None
    if not isinstance(resources, list) or not resources:
        raise ConnectorError(f"{where}: `config` is a configuration of dlt's rest_api and needs `resources`")
    names = [each if isinstance(each, str) else each.get("name") for each in resources]
    keys = [None if isinstance(each, str) else each.get("primary_key") for each in resources]
    return {str(name): {"key": key} if key else {} for name, key in zip(names, keys, strict=True)}


def _tables(
    connector: str,
    kind: str,
    entry: yaml_lines.LinedDict,
    offered: Mapping[str, Mapping[str, Any]],
    where: yaml_lines.Where,
) -> tuple[PulledTable, ...]:
    """Return the tables to pull: those listed, or all that the source offers."""
    given = entry.get("tables")
    if given is None and offered:
        given = {name: {} for name in offered}
    elif isinstance(given, list):
        given = {name: {} for name in given}
    if not isinstance(given, dict) or not given:
        raise ConnectorError(f"{where}: `tables` is empty; expected names of tables")
    found = []
    for name, options in given.items():
        place = given.where(name) if isinstance(given, yaml_lines.LinedDict) else where
        _check_name(name, "table", place)
        if offered and name not in offered:
            raise ConnectorError(f"{place}: there is no table {name!r}; there are {', '.join(offered)}")
        if options:
            yaml_lines.mapping(options, place, _TABLE_KEYS[kind])
        found.append(
            _table(connector, name, {**offered.get(name, {}), **yaml_lines.plain(options or {})}, place)
        )
    return tuple(found)


def _table(connector: str, name: str, options: Mapping[str, Any], where: yaml_lines.Where) -> PulledTable:
    file = str(options.get("file") or name)
    if not _FILE.fullmatch(file):
        raise ConnectorError(
            f"{where}: file is {file!r}; expected the start of a file name: letters, digits, - and _"
        )
    lag = options.get("lag", 0)
    if isinstance(lag, bool) or not isinstance(lag, int | float) or lag < 0:
        raise ConnectorError(f"{where}: lag is {lag!r}; expected a number of 0 or more")
    if lag and not options.get("cursor"):
        raise ConnectorError(
            f"{where}: lag is the number of units that the cursor goes back, but there is no cursor"
        )
    explode = options.get("explode")
    if explode is not None:
        unknown = sorted(set(explode) - _EXPLODE_KEYS)
        if unknown or not explode.get("arrays"):
            raise ConnectorError(
                f"{where}: explode needs `arrays`, and may have `columns`; found {explode!r}"
            )
    return PulledTable(
        connector,
        name,
        file,
        str(options.get("table") or name),
        _names(options.get("key")),
        options.get("cursor"),
        lag,
        _names(options.get("columns")),
        Explode(_names(explode["arrays"]), _names(explode.get("columns"))) if explode else None,
    )


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _check_name(name: Any, what: str, where: yaml_lines.Where) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConnectorError(
            f"{where}: {name!r} is not a name for a {what}; expected letters, digits and underscores"
            + ("; give a table of another name as `table:`" if what == "table" else "")
        )
