"""DuckLake builds every SQL model with the rows of DuckDB, with a catalogue in a file and in PostgreSQL."""

import pytest
import sqlalchemy as sa

from clm_dagster.engines.ducklake import DuckLakeEngine
from clm_dagster.engines.registry import engine_named
from clm_dagster.engines.verifying import verify
from clm_dagster.settings import Settings
from clm_dagster_tests.platform.lake.conftest import extensions, server
from clm_dagster_tests.shops import quiet

__all__ = ["extensions", "server"]


def schemas(url: sa.URL) -> set[str]:
    """The schemas of a database."""
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg2"), poolclass=sa.NullPool)
    return set(sa.inspect(engine).get_schema_names())


def test_ducklake_is_an_engine(extensions: None, settings: Settings) -> None:
    engine = engine_named("ducklake", settings)
    assert isinstance(engine, DuckLakeEngine)
    assert "a file" in engine.version


@pytest.mark.slow
@pytest.mark.parametrize("place", ["a file", "PostgreSQL"])
def test_all_models_are_equal(
    extensions: None, two_weeks: Settings, place: str, request: pytest.FixtureRequest
) -> None:
    settings = two_weeks
    if place == "PostgreSQL":
        url: sa.URL = request.getfixturevalue("server")
        # The rows are those of the file; only the engine uses the catalogue.
        engine = DuckLakeEngine(two_weeks.replace(catalog=url.render_as_string(hide_password=False)))
        before = schemas(url)
    else:
        engine = DuckLakeEngine(two_weeks)
    assert place in engine.version
    found = verify(settings, engine, quiet)
    assert len(found.models) > 40
    assert found.red == []
    if place == "PostgreSQL":
        assert schemas(url) == before
