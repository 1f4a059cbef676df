"""A PostgreSQL for the catalogues of lakes, and settings of a shop with one. Skipped visibly with DuckDB 2."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from clm_dagster.platform.lake.extensions import LakeUnavailableError, extension_file, is_supported
from clm_dagster.platform.lake.warehouse import LakeWarehouse, lake_of
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.connect import postgres

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def extensions() -> None:
    """Skip tests where DuckDB or its extensions are not those of the team profile."""
    if not is_supported():
        pytest.skip("a lake needs DuckDB 1.5; `make test-team` runs these tests")
    for name in ("ducklake", "postgres_scanner", "httpfs"):
        try:
            extension_file(name)
        except LakeUnavailableError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def server(extensions: None) -> Iterator[sa.URL]:
    """A PostgreSQL that all tests share; each has a schema of its own."""
    with postgres.serving() as url:
        yield url


@pytest.fixture
def lake_settings(
    server: sa.URL, settings_for: Callable[..., Settings], tmp_path: Path
) -> Callable[..., Settings]:
    """Make settings of a shop with a new lake; keywords go before the defaults."""

    def make(**overrides: object) -> Settings:
        defaults: dict[str, object] = {
            "catalog": server.render_as_string(hide_password=False),
            "catalog_schema": f"shop_{next(_NUMBERS)}",
            "data_path": str(tmp_path / "shared"),
        }
        return settings_for(**defaults | overrides)

    return make


@pytest.fixture
def shop_lake(lake_settings: Callable[..., Settings]) -> LakeWarehouse:
    """A new lake."""
    return lake_of(lake_settings())
