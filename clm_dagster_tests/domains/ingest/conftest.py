"""A shop whose files are landed and loaded without Dagster."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clm_dagster.domains.ingest.contract import ContractTable, read_contract
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.resources import load_sql
from clm_dagster.settings import load_settings
from clm_dagster_tests.domains.ingest.shop import Shop


@pytest.fixture(scope="session")
def sql_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return load_sql(load_settings(source="generic", data_dir=tmp_path_factory.mktemp("settings")))


@pytest.fixture(scope="session")
def contract(sql_project: Project) -> dict[str, ContractTable]:
    return read_contract(sql_project)


@pytest.fixture
def make_shop(
    tmp_path: Path, sql_project: Project, contract: dict[str, ContractTable]
) -> Iterator[Callable[..., Shop]]:
    made: list[Shop] = []

    def make(name: str = "shop", **settings: object) -> Shop:
        made.append(Shop(tmp_path / name, sql_project, contract, **settings))
        return made[-1]

    yield make
    for shop in made:
        shop.raw.close()


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """A generic shop, 2024-01-01 to 2024-03-01 (exclusive)."""
    return make_shop()


@pytest.fixture
def online_shop(make_shop: Callable[..., Shop]) -> Shop:
    """A shop with the files of Online Retail II."""
    return make_shop(source="online_retail_ii", start_date="2009-12-01", end_date="2011-12-10")
