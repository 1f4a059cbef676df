"""The catalogue of a lake: where it is, and the statements that attach it to an in-memory DuckDB.

Belongs here: addresses, secrets and `attach`. Does not: transactions (`connection`), what is stored.

The catalogue's password and the keys of S3 are secrets of DuckDB and in no statement that a message could show.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

import duckdb

from clm_dagster.errors import UserError
from clm_dagster.platform import quoting
from clm_dagster.platform.lake.extensions import LakeUnavailableError, load_extensions
from clm_dagster.platform.secrets import hidden, secrets_in
from clm_dagster.settings import Settings, SettingsError, reveal
from clm_dagster.storage import restrict

if TYPE_CHECKING:
    import sqlalchemy as sa

ALIAS = "lake"
_VARIABLE = "CLM_CATALOG"
_POSTGRES = re.compile(r"postgres(ql)?(\+\w+)?://", re.IGNORECASE)
# PostgreSQL's own form of an address, which the extension may quote in a message.
_DSN_PASSWORD = re.compile(r"password\s*=\s*('(\\.|[^'\\])*'|\S+)", re.IGNORECASE)
_MISSING = re.compile(r"does not exist|has not been initialized|no snapshot", re.IGNORECASE)


class LakeError(UserError, RuntimeError):
    """The lake cannot be attached. The message says why, without secrets."""


@dataclass(frozen=True)
class Catalogue:
    """A lake's catalogue and the place of its files.

    address: of PostgreSQL, with its password, or the path of a file. schema: of the catalogue's tables in PostgreSQL.
    data_path: folder or s3:// address of the lake's tables. encrypted: whether files of a new lake are encrypted.
    """

    address: str = field(repr=False)
    schema: str
    data_path: str
    encrypted: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Catalogue":
        """Return the catalogue of a shop. Raise SettingsError for an address that is none."""
        address = reveal(settings.catalog, _VARIABLE)
        if _POSTGRES.match(address):
            parts = urlsplit(address)
            if not (parts.hostname and parts.path.strip("/")):
                raise SettingsError(
                    f"{_VARIABLE} is not an address; expected postgres://user:password@host/database"
                )
        elif "://" in address:
            raise SettingsError(f"{_VARIABLE} starts with another word than postgres:// and is no file")
        else:
            address = str(Path(address).expanduser().resolve())
        return cls(address, settings.catalog_schema, tables_path(settings), settings.lake_encrypted)

    @property
    def is_file(self) -> bool:
        """Whether the catalogue is a DuckDB file, which one process at a time can use."""
        return not _POSTGRES.match(self.address)

    @property
    def label(self) -> str:
        """The catalogue for people and as a name: without a password."""
        if self.is_file:
            return self.address
        parts = urlsplit(self.address)
        port = f":{parts.port}" if parts.port else ""
        return f"postgres://{parts.hostname}{port}{parts.path}, schema {self.schema}"

    @property
    def is_remote(self) -> bool:
        """Whether the files are in object storage."""
        return "://" in self.data_path

    def attach(
        self,
        raw: duckdb.DuckDBPyConnection,
        read_only: bool = False,
        snapshot: int | None = None,
        create: bool = True,
    ) -> bool:
        """Attach the lake as `lake` and use it. Return False if there is none and it is not to be created.

        snapshot: the state to read, None for the newest. Raise LakeError, LakeUnavailableError.
        """
        # DuckDB writes encrypted files only with httpfs.
        load_extensions(raw, ("ducklake", "httpfs", *(() if self.is_file else ("postgres_scanner",))))
        options = list(self._options(read_only, snapshot, create))
        try:
            for statement in self._secrets():
                raw.execute(statement)
            raw.execute(f"attach {quoting.text(self._target())} as {ALIAS} ({', '.join(options)})")
        except duckdb.Error as error:
            # Not chained: the original message may hold a part of a statement.
            text = hidden(str(error), secrets_in({"url": self.address}) | _keys_of_s3())
            text = _DSN_PASSWORD.sub("password=***", text)
            if not create and _MISSING.search(text):
                return False
            raise LakeError(f"the lake {self.label} cannot be attached: {text.splitlines()[0]}") from None
        raw.execute(f"use {ALIAS}")
        if self.is_file and Path(self.address).exists():
            restrict(Path(self.address))
        return True

    def engine(self) -> "sa.Engine":
        """Return SQLAlchemy's engine for the catalogue's PostgreSQL. Raise LakeUnavailableError without its driver."""
        import sqlalchemy as sa

        if find_spec("psycopg2") is None:
            raise LakeUnavailableError(
                f"{_VARIABLE} is in PostgreSQL, but psycopg2 is not installed; install the extra `team`"
            )
        url = "postgresql+psycopg2://" + self.address.split("://", 1)[1]
        return sa.create_engine(url, poolclass=sa.NullPool)

    def drop(self) -> None:
        """Delete the catalogue's tables, for a lake that is only used once. Its files stay."""
        if self.is_file:
            return
        import sqlalchemy as sa

        with self.engine().begin() as connection:
            connection.execute(sa.text(f'drop schema if exists "{self.schema}" cascade'))

    def _target(self) -> str:
        return f"ducklake:{self.address}" if self.is_file else "ducklake:clm_lake"

    def _options(self, read_only: bool, snapshot: int | None, create: bool) -> Iterator[str]:
        if not self.is_file:
            yield f"metadata_schema {quoting.text(self.schema)}"
        if create and not read_only:
            yield f"data_path {quoting.text(self.data_path)}"
            if self.encrypted:
                yield "encrypted true"
        else:
            yield "create_if_not_exists false"
        if read_only:
            yield "read_only"
        if snapshot is not None:
            yield f"snapshot_version {snapshot}"

    def _secrets(self) -> Iterator[str]:
        """Yield the statements that create the secrets of the catalogue and of the files."""
        if not self.is_file:
            parts = urlsplit(self.address)
            found = {
                "host": parts.hostname or "",
                "port": str(parts.port or 5432),
                "database": unquote(parts.path.strip("/")),
                "user": unquote(parts.username or ""),
                "password": unquote(parts.password or ""),
            }
            yield f"create or replace secret clm_catalog (type postgres, {_pairs(found)})"
            # Such as sslmode: PostgreSQL's own words, which are no secrets.
            rest = " ".join(f"{name}={value}" for name, value in parse_qsl(parts.query))
            yield (
                f"create or replace secret clm_lake (type ducklake, metadata_path {quoting.text(rest)}, "
                "metadata_parameters map {'TYPE': 'postgres', 'SECRET': 'clm_catalog'})"
            )
        if self.is_remote:
            yield f"create or replace secret clm_files (type s3, {_pairs(_s3(os.environ))})"


def tables_path(settings: Settings) -> str:
    """Return the folder or address of the lake's tables. Nothing else may be there: maintenance deletes it."""
    if settings.is_data_remote:
        return f"{settings.data_path.rstrip('/')}/{settings.catalog_schema}/tables/"
    return f"{lake_folder(settings) / settings.catalog_schema / 'tables'}/"


def lake_folder(settings: Settings) -> Path:
    """Return the folder of a lake whose files are in one."""
    if settings.data_path:
        return Path(settings.data_path).expanduser().resolve()
    return settings.data_dir.resolve() / "lake"


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {quoting.text(value)}" for name, value in values.items() if value)


def _keys_of_s3() -> set[str]:
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {os.environ[name] for name in names if os.environ.get(name)}


def _s3(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a secret for S3 from the variables that AWS's own tools read."""
    found = {
        "key_id": environment.get("AWS_ACCESS_KEY_ID", ""),
        "secret": environment.get("AWS_SECRET_ACCESS_KEY", ""),
        "session_token": environment.get("AWS_SESSION_TOKEN", ""),
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
    }
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if endpoint:
        parts = urlsplit(endpoint)
        found |= {
            "endpoint": parts.netloc + parts.path.rstrip("/"),
            "url_style": "path",
            "use_ssl": "false" if parts.scheme == "http" else "true",
        }
    return found
