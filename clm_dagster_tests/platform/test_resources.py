"""The SQL project of a shop is read once, and again when a file or a variable of it changes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.platform.resources import load_sql
from clm_dagster.settings import Settings


@pytest.fixture
def own_sql(settings_for: Callable[..., Settings], tmp_path: Path) -> Settings:
    """Settings of a shop with its own copy of the SQL project."""
    shutil.copytree(settings_for().sql_dir, tmp_path / "sql")
    return settings_for(sql_dir=tmp_path / "sql")


def test_shops_with_equal_variables_share_the_project(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    first = load_sql(settings_for())
    assert load_sql(settings_for(data_dir=tmp_path / "other")) is first
    later = load_sql(settings_for(start_date="2024-01-02"))
    assert (first.variables["start_date"], later.variables["start_date"]) == ("2024-01-01", "2024-01-02")


@pytest.mark.parametrize("file", ["models/marts/shop_daily.sql", "macros", "seeds", "dbt_project.yml"])
def test_a_changed_file_is_read(own_sql: Settings, file: str) -> None:
    before = load_sql(own_sql)
    path = own_sql.sql_dir / file
    path = sorted(found for found in path.rglob("*") if found.is_file())[0] if path.is_dir() else path
    path.write_text(path.read_text() + "\n")
    assert load_sql(own_sql) is not before


def test_a_new_and_a_deleted_model_are_noticed(own_sql: Settings) -> None:
    before = set(load_sql(own_sql).models)
    new = own_sql.sql_dir / "models" / "marts" / "fresh.sql"
    new.write_text("select 1 as one")
    assert set(load_sql(own_sql).models) == before | {"fresh"}
    new.unlink()
    assert set(load_sql(own_sql).models) == before
