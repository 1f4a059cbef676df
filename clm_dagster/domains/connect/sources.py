"""Tables of databases and web APIs as dlt sources.

Belongs here: what dlt is asked to read. Does not: running it (`pulling`), files (`copying`), where rows go
(`delivering`). dlt is imported late: it takes a second, and is optional.
"""

import importlib.util
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clm_dagster.domains.connect.config import REST, Connector, PulledTable
from clm_dagster.domains.connect.errors import ConnectorError
from clm_dagster.platform.secrets import filled

if TYPE_CHECKING:
    import sqlalchemy as sa
    from dlt.extract.source import DltSource
    from dlt.sources.rest_api.typing import RESTAPIConfig

# The dlt table of every pipeline: a pipeline pulls one table, whatever its name in the source is.
ROWS = "rows"
_CHUNK_ROWS = 20_000
# Drivers by the scheme of an address that names none, the first that is installed.
_DRIVERS = {
    "postgresql": ("psycopg2", "psycopg", "asyncpg"),
    "postgres": ("psycopg2", "psycopg"),
    "mysql": ("pymysql", "MySQLdb"),
    "mariadb": ("pymysql", "MySQLdb"),
}
# Modules that teach SQLAlchemy other databases, each in an extra of the name of the database.
_DIALECTS = {"snowflake": "snowflake.sqlalchemy", "bigquery": "sqlalchemy_bigquery"}
# Types of Snowflake's dialect that are not SQLAlchemy's, and whether they have a zone.
_SNOWFLAKE_TIMES = {"TIMESTAMP_NTZ": False, "TIMESTAMP_LTZ": True, "TIMESTAMP_TZ": True}
_SQL_NAMES = {"postgres": "postgresql", "MySQLdb": "mysqldb"}


@dataclass(frozen=True)
class Readable:
    """A dlt source with the one resource of a table. key: columns that identify a row, empty if none are known."""

    source: "DltSource"
    key: tuple[str, ...]


def open_source(connector: Connector, table: PulledTable, start: datetime) -> Readable:
    """Return a table as dlt reads it. start: of the pull, with a time zone.

    Raise ConnectorError. Errors of drivers come as they are and may show secrets.
    """
    opened = (_rest_source if connector.kind == REST else _sql_source)(connector, table, start)
    (resource,) = opened.source.selected_resources.values()
    resource.apply_hints(table_name=ROWS, write_disposition="append")
    return opened


# ---------------------------------------------------------------------------------------- SQL


def _sql_source(connector: Connector, table: PulledTable, _: datetime) -> Readable:
    import dlt
    import sqlalchemy as sa
    from dlt.sources.sql_database import sql_database

    entry = filled(connector.entry, connector.where)
    url = _with_driver(sa.make_url(entry["url"]), connector)
    engine = sa.create_engine(url, connect_args=dict(entry.get("options") or {}))
    found = _reflected(engine, table, entry.get("schema"))
    _check_columns(found, table)
    source: DltSource = sql_database(
        engine,
        schema=entry.get("schema"),
        table_names=[table.table],
        backend="pyarrow",
        reflection_level="full_with_precision",
        detect_precision_hints=None,  # its default warns that it is deprecated
        chunk_size=int(entry.get("chunk_rows") or _CHUNK_ROWS),
        query_adapter_callback=lambda query, read, *_: query.with_only_columns(
            *_selected(read, table, engine.dialect.name)
        ),
        type_adapter_callback=_adapted,
        table_adapter_callback=lambda read: _keep_only(read, table),
    )
    if table.cursor:
        # A row without a cursor is read every time; it is delivered only if it is new.
        cursor: Any = dlt.sources.incremental(
            table.cursor, on_cursor_value_missing="include", lag=table.lag or None
        )
        source.resources[table.table].apply_hints(incremental=cursor)
    key = table.key or tuple(column.name for column in found.primary_key.columns)
    return Readable(source, key if not table.columns or set(key) <= set(table.columns) else ())


def _with_driver(url: "sa.URL", connector: Connector) -> "sa.URL":
    """Return an address with a driver that is installed, where it names none. Raise ConnectorError."""
    module = _DIALECTS.get(url.drivername)
    if module and not _is_installed(module):
        raise ConnectorError(
            f"{connector.where}: the package {module} is not installed; run\n"
            f"  pip install 'clm-dagster[{url.drivername}]'"
        )
    drivers = _DRIVERS.get(url.drivername)
    if drivers is None:
        return url
    for driver in drivers:
        if importlib.util.find_spec(driver) is not None:
            scheme = _SQL_NAMES.get(url.drivername, url.drivername)
            return url.set(drivername=f"{scheme}+{_SQL_NAMES.get(driver, driver)}")
    package = {"psycopg2": "psycopg2-binary"}.get(drivers[0], drivers[0])
    raise ConnectorError(
        f"{connector.where}: no driver for {url.drivername} is installed; run\n  pip install {package}"
    )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _reflected(engine: "sa.Engine", table: PulledTable, schema: str | None) -> "sa.Table":
    import sqlalchemy as sa

    try:
        return sa.Table(table.table, sa.MetaData(schema=schema), autoload_with=engine)
    except sa.exc.NoSuchTableError:
        names = sorted(sa.inspect(engine).get_table_names(schema))
        raise ConnectorError(
            f"{table.title}: the database has no table {table.table!r}"
            f"{f' in the schema {schema}' if schema else ''}; it has {', '.join(names[:20]) or 'none'}"
        ) from None
    finally:
        engine.dispose()


def _check_columns(found: "sa.Table", table: PulledTable) -> None:
    names = [column.name for column in found.columns]
    for what, given in (
        ("cursor", [table.cursor] if table.cursor else []),
        ("key", table.key),
        ("columns", table.columns),
    ):
        for name in given:
            if name not in names:
                raise ConnectorError(f"{table.title}: {what} is {name!r}; the table has {', '.join(names)}")
            if table.columns and name not in table.columns:
                raise ConnectorError(f"{table.title}: `columns` lacks {name!r}, which is its {what}")
    if table.cursor and not _is_plain(found.columns[table.cursor].type):
        raise ConnectorError(
            f"{table.title}: the cursor {table.cursor!r} is of type {found.columns[table.cursor].type}; expected a "
            "time, a date or a whole number"
        )


def _is_plain(kind: object) -> bool:
    """Whether dlt reads a type without loss. All others are cast to text by the database itself.

    These are decimals without a fixed scale, floats, JSON, arrays, intervals and types of one database.
    """
    import sqlalchemy as sa

    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        return (
            kind.precision is not None and kind.scale is not None and 0 <= kind.scale <= kind.precision <= 38
        )
    if type(kind).__name__ in _SNOWFLAKE_TIMES:
        return True
    return isinstance(kind, sa.Integer | sa.Boolean | sa.Date | sa.DateTime | sa.String)


def _adapted(kind: Any) -> Any:
    """Return a type as dlt knows it: Snowflake has times of its own, and what is not plain is text."""
    import sqlalchemy as sa

    name = type(kind).__name__
    if name in _SNOWFLAKE_TIMES:
        return sa.DateTime(timezone=_SNOWFLAKE_TIMES[name])
    return kind if _is_plain(kind) else sa.Text()


def _selected(read: "sa.Table", table: PulledTable, dialect: str) -> list[Any]:
    """Return the columns to read, as text where dlt would lose something."""
    import sqlalchemy as sa

    def text(column: Any) -> Any:
        # BigQuery casts no array, no structure and no JSON.
        is_nested = isinstance(column.type, sa.ARRAY | sa.JSON) or "STRUCT" in type(column.type).__name__
        if dialect == "bigquery" and is_nested:
            return sa.func.to_json_string(column)
        return sa.cast(column, sa.Text)

    columns = [c for c in read.columns if not table.columns or c.name in table.columns]
    return [c if _is_plain(c.type) else text(c).label(c.name) for c in columns]


def _keep_only(read: "sa.Table", table: PulledTable) -> None:
    """Remove the columns that are not wanted from a reflected table, so that dlt does not know of them."""
    for column in [c for c in read.columns if table.columns and c.name not in table.columns]:
        read._columns.remove(column)


# --------------------------------------------------------------------------------------- REST


def _rest_source(connector: Connector, table: PulledTable, start: datetime) -> Readable:
    from dlt.sources.helpers.requests import Client
    from dlt.sources.rest_api import rest_api_source

    config = _rest_config(connector)
    parts = [config.get("resource_defaults"), *config["resources"]]
    kept = {name for part in parts if isinstance(part, dict) for name in _set_cursors(part, start)}
    # With RUNTIME__REQUEST_MAX_ATTEMPTS and the like, which dlt applies to its other clients only.
    client = Client(raise_for_status=False)
    client.configure()
    config["client"].setdefault("session", client.session)
    source: DltSource = rest_api_source(config, name=connector.name, max_table_nesting=0)
    # An instant stays as it is written, with its offset: the adapter reads it.
    source.schema.remove_type_detection("iso_timestamp")
    source = source.with_resources(table.table)
    source.resources[table.table].add_map(lambda row: _as_text(row, kept))
    return Readable(source, table.key)


def _rest_config(connector: Connector) -> "RESTAPIConfig":
    """Return dlt's configuration of a REST source: the connector's own, or its preset with parameters filled in."""
    entry = filled(connector.entry, connector.where)
    if not connector.preset:
        own: RESTAPIConfig = entry["config"]
        return own
    given = dict(connector.preset["parameters"]) | {
        name: value for name, value in entry.items() if name in connector.preset["parameters"]
    }
    # A default may name other parameters.
    parameters = {name: filled(value, connector.where, given) for name, value in given.items()}
    config: RESTAPIConfig = filled(connector.preset["config"], connector.where, parameters)
    return config


def _set_cursors(resource: Mapping[str, object], start: datetime) -> Iterator[str]:
    """Let cursors be compared as instants or numbers, and never pass the start of the pull. Yield their columns.

    A row that changes while pages are read may have been read before. Its change is later than the start, so the next
    pull reads it. A cursor with dlt's `lag` keeps dlt's own comparison, which knows of it.
    """
    endpoint = resource.get("endpoint")
    if not isinstance(endpoint, dict):
        return
    params = endpoint.get("params")
    for cursor in [endpoint.get("incremental"), *(params.values() if isinstance(params, dict) else ())]:
        if isinstance(cursor, dict) and "cursor_path" in cursor:
            yield str(cursor["cursor_path"]).removeprefix("$.").split(".")[0]
            step = cursor.pop("overlap_seconds", 0)
            if step:
                cursor["convert"] = _earlier(step)
            if not cursor.get("lag"):
                cursor.setdefault("last_value_func", latest(start))


def latest(start: datetime) -> Callable[[Sequence[Any]], Any]:
    """Return a function for the latest of some cursors: instants as ISO text, or numbers; not after an instant.

    start: the bound, with a time zone. An instant without an offset is in UTC.
    """
    bound = start.astimezone(UTC)

    def last(values: Sequence[Any]) -> Any:
        best = max(values, key=_comparable)
        at = _instant(best)
        if at is None or at <= bound:
            return best
        return bound.replace(microsecond=0, tzinfo=None).isoformat() + _offset_like(best)

    return last


def _offset_like(value: str) -> str:
    return "" if datetime.fromisoformat(value).tzinfo is None else "+00:00"


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _comparable(value: Any) -> tuple[int, Any]:
    at = _instant(value)
    if at is not None:
        return 2, at.timestamp()
    try:
        return 1, float(value)
    except ValueError:
        return 0, str(value)


def _earlier(seconds: float) -> Callable[[Any], Any]:
    """Return a function for a cursor some seconds earlier, for a source that leaves out rows equal to it."""

    def convert(value: Any) -> Any:
        at = datetime.fromisoformat(value)
        return datetime.fromtimestamp(
            at.replace(tzinfo=at.tzinfo or UTC).timestamp() - seconds, UTC
        ).strftime("%Y-%m-%dT%H:%M:%S") + _offset_like(value)

    return convert


def _as_text(row: Mapping[str, Any], kept: Collection[str]) -> dict[str, Any]:
    """Return a row of JSON with every value as text, nested ones as JSON text, so that no type depends on other rows.

    kept: columns that stay what they are, for dlt to compare.
    """
    return {name: value if name in kept else _text(value) for name, value in row.items()}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
