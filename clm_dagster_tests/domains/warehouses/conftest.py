"""A published copy that tests write, and the databases that it is published to."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from clm_dagster.domains.warehouses.publishing import Publication, Result
from clm_dagster.domains.warehouses.running import destinations_of
from clm_dagster.domains.warehouses.targets.opening import connected
from clm_dagster.platform.build_ledger.versions import Version, record
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.connect import postgres
from clm_dagster_tests.domains.warehouses import emulators

SCORES, PLANS, VIEW = "marts.churn_scores", "marts.campaign_plans", "marts.rfm_segments"
FIRST = date(2024, 1, 1)  # the Monday on which the first snapshot starts


def key(week: int) -> str:
    """The partition of a week."""
    return (FIRST + timedelta(weeks=week)).isoformat()


def day(week: int) -> str:
    """The as_of of a week."""
    return (FIRST + timedelta(weeks=week + 1)).isoformat()


@dataclass
class PublishedShop:
    """A published copy in which a test writes tables as the pipeline would."""

    settings: Settings

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements on the copy. Return the rows of the last one."""
        with closing(self._opened()) as raw:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                rows = raw.execute(statement).fetchall()
        self._put()
        return rows

    def scores(self, weeks: Mapping[int, int], rows: int = 3, only: int | None = None) -> None:
        """Replace a table of weekly snapshots: the generation of each week; its version follows from it."""
        with closing(self._opened()) as raw:
            connection = Connection(raw)
            connection.execute("create schema if not exists raw")
            for week, generation in weeks.items():
                if only is not None and week != only:
                    continue
                query = (
                    f"select timestamp '{day(week)}' as as_of, 'c' || i as customer_id, "
                    f"(i * 0.25)::decimal(12, 4) as probability, {generation} as generation from range({rows}) as t(i)"
                )
                connection.replace_rows(SCORES, query, f"as_of = timestamp '{day(week)}'")
                record(connection, SCORES, [(key(week), Version(f"v{generation}"), rows)], "run")
        self._put()

    def forget(self, relation: str, week: int) -> None:
        """Remove a partition, as a vacuum does."""
        self.sql(
            f"delete from {relation} where as_of = timestamp '{day(week)}'",
            f"delete from raw.builds where relation = '{relation}' and partition_key = '{key(week)}'",
        )

    def publish(self, name: str | None = None, full: bool = False) -> Result:
        """Publish without Dagster."""
        (destination,) = destinations_of(self.settings, name)
        return Publication(self.settings, destination, lambda _: None, full).run()

    def preview(self) -> Result:
        """What would be published."""
        (destination,) = destinations_of(self.settings, None)
        return Publication(self.settings, destination, lambda _: None).preview()

    def query(self, sql: str, **names: str) -> list[tuple[Any, ...]]:
        """Rows at the destination; `{name}` is a published table."""
        (destination,) = destinations_of(self.settings, None)
        with connected(destination, "clm") as target:
            tables = {
                n: target.table(n)
                for n in ("churn_scores", "campaign_plans", "rfm_segments", "clm_published")
            }
            return [tuple(row) for row in target.query(sql.format(**tables, **names))]

    def changes(self, result: Result) -> list[tuple[str, str, int, int]]:
        return sorted((t.name, t.what, t.partitions, t.rows) for t in result.tables)

    @property
    def _draft(self) -> Path:
        return self.settings.data_dir / "draft.duckdb"

    def _opened(self) -> duckdb.DuckDBPyConnection:
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        raw = duckdb.connect(str(self._draft))
        for schema in ("marts", "core", "staging", "raw"):
            raw.execute(f"create schema if not exists {schema}")
        return raw

    def _put(self) -> None:
        """Replace the copy atomically, as a publication does."""
        target = self.settings.published_path
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(".new")
        shutil.copyfile(self._draft, new)
        new.replace(target)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Return the address of a database of a kind, which runs until the end of the session."""
    started: dict[str, str] = {}
    with ExitStack() as stack:

        def address(kind: str) -> str:
            if kind not in started:
                folder = tmp_path_factory.mktemp(kind)
                if kind == "postgresql":
                    url = stack.enter_context(postgres.serving())
                    started[kind] = url.render_as_string(hide_password=False)
                else:
                    started[kind] = stack.enter_context(getattr(emulators, kind)(folder))
            return started[kind]

        yield address


@pytest.fixture
def make_published(
    servers: Callable[[str], str], settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., PublishedShop]:
    """Make a shop with a published copy, and an empty schema to publish to."""

    def make(kind: str = "postgresql", **settings: object) -> PublishedShop:
        monkeypatch.setenv("WAREHOUSE_URL", servers(kind))
        given = {
            "publish_to": "dwh=${WAREHOUSE_URL}",
            "publish_tables": f"{SCORES},{PLANS},{VIEW}",
        } | settings
        shop = PublishedShop(settings_for(**given))
        (destination,) = destinations_of(shop.settings, None)
        with connected(destination, "clm") as target:
            if kind == "postgresql":
                target.query("drop schema if exists clm cascade; select 1")
            else:
                for name in target.existing():
                    target.query(f"drop table {target.table(name)}")
        return shop

    return make


@pytest.fixture
def database(servers: Callable[[str], str]) -> Iterator[sa.Connection]:
    """A connection to PostgreSQL that knows nothing of the project; every statement is committed."""
    url = sa.make_url(servers("postgresql")).set(drivername="postgresql+psycopg2")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def at_midnight(text: str) -> datetime:
    return datetime.fromisoformat(text)
