"""A shop whose inbox is filled by connectors, and a PostgreSQL."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
import yaml

from clm_dagster.platform.runs import RunFailedError
from clm_dagster.settings import Settings
from clm_dagster.shop_pull import PullReport, pull_shop
from clm_dagster_tests.domains.connect import postgres
from clm_dagster_tests.domains.ingest.conftest import contract, make_shop, sql_project
from clm_dagster_tests.shops import quiet

__all__ = ["contract", "make_shop", "sql_project"]


class Puller:
    """A shop with connectors: pull, look at the files."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.inbox = Path(settings.input)

    def pull(self) -> dict[str, int | None]:
        """Pull everything. Return the rows per table. Raise the error of a table that failed."""
        report = self.report()
        if report.failure:
            raise report.failure
        return {each.table: each.rows for each in report.tables}

    def report(self) -> PullReport:
        return pull_shop(self.settings, quiet)

    def failure(self) -> RunFailedError:
        """Pull, and return the error that this is expected to raise."""
        failure = self.report().failure
        assert failure is not None
        return failure

    def files(self, pattern: str = "*") -> list[str]:
        return sorted(path.name for path in self.inbox.glob(pattern))

    def rows(self, file: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """The rows of one file of the inbox."""
        relation = duckdb.read_parquet(str(self.inbox / file))
        return relation.project(columns).order("all").fetchall()


@pytest.fixture
def puller(
    tmp_path: Path, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Puller]:
    """Make a shop with these connectors; keywords are settings."""
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0")

    def make(connectors: Mapping[str, Any], **settings: object) -> Puller:
        path = tmp_path / "connectors.yml"
        path.write_text(yaml.safe_dump({"connectors": dict(connectors)}, sort_keys=False))
        return Puller(settings_for(connectors=path, **settings))

    return make


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[sa.URL]:
    """A PostgreSQL of our own, for all tests of a session."""
    with postgres.serving() as url:
        yield url


@pytest.fixture
def database(postgres_url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Connection]:
    """An empty database, with its address in SHOP_DB_URL; every statement is committed."""
    engine = sa.create_engine(
        postgres_url.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT"
    )
    monkeypatch.setenv("SHOP_DB_URL", postgres_url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        connection.exec_driver_sql("drop schema public cascade; create schema public")
        yield connection
    engine.dispose()
