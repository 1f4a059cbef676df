"""Attaching a lake: addresses and secrets, encryption, what the environment must have."""

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from clm_dagster.platform.lake import extensions as lake_extensions
from clm_dagster.platform.lake.catalogue import Catalogue, LakeError
from clm_dagster.platform.lake.extensions import LakeUnavailableError
from clm_dagster.platform.lake.warehouse import LakeWarehouse, lake_of
from clm_dagster.platform.resources import resources_of, warehouse_of
from clm_dagster.settings import Settings, SettingsError, load_settings
from clm_dagster_tests.domains.connect.postgres import PASSWORD
from clm_dagster_tests.platform.lake import writers

# The password as it is written, and as it is in an address.
SPELLINGS = (PASSWORD, "pa%3Ass%2Fw%C3%B6rd-of-tests")


def test_without_a_catalogue_the_warehouse_is_a_file(settings: Settings) -> None:
    assert not settings.has_lake
    assert not isinstance(warehouse_of(settings), LakeWarehouse)


def test_other_settings_of_a_lake_need_a_catalogue(settings_for: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match="set CLM_CATALOG"):
        settings_for(data_path="/shared")
    with pytest.raises(SettingsError, match="set CLM_CATALOG"):
        settings_for(lake_encrypted=True)
    with pytest.raises(SettingsError, match="lowercase letters"):
        settings_for(catalog_schema="My Shop")


@pytest.mark.parametrize("address", ["mysql://a/b", "postgres://", "postgres://host"])
def test_an_address_that_is_none_is_refused(settings_for: Callable[..., Settings], address: str) -> None:
    with pytest.raises(SettingsError, match="CLM_CATALOG"):
        Catalogue.of(settings_for(catalog=address))


def test_the_password_is_shown_nowhere(lake_settings: Callable[..., Settings]) -> None:
    settings = lake_settings()
    lake = warehouse_of(settings)
    assert isinstance(lake, LakeWarehouse)
    shown = [
        repr(settings),
        repr(lake),
        repr(Catalogue.of(settings)),
        json.dumps(lake.model_dump(), default=str),
    ]
    shown += [repr(resource) for resource in resources_of(settings).values()]
    for text in shown:
        assert not any(spelling in text for spelling in SPELLINGS)
    assert "schema shop_" in lake.database


def test_a_wrong_password_is_a_clear_error_without_it(
    server: sa.URL, lake_settings: Callable[..., Settings]
) -> None:
    wrong = server.set(password="wrong-pass word").render_as_string(hide_password=False)
    with (
        pytest.raises(LakeError, match="cannot be attached") as error,
        lake_of(lake_settings(catalog=wrong)).connect("a test"),
    ):
        pass
    assert "wrong-pass" not in str(error.value)
    assert error.value.__cause__ is None


def test_the_address_may_be_in_a_file(
    server: sa.URL, lake_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "address").write_text(server.render_as_string(hide_password=False) + "\n")
    settings = lake_settings(catalog=f"file:{tmp_path / 'address'}")
    with lake_of(settings).connect("a test") as connection:
        assert connection.relation_kind("raw.warehouse_format") == "BASE TABLE"


def test_a_lake_that_does_not_exist_is_not_created_by_reading(lake_settings: Callable[..., Settings]) -> None:
    settings = lake_settings()
    with lake_of(settings).connect_read_only("a test") as connection:
        assert connection is None
    with lake_of(settings).connect_read_only("a test") as connection:
        assert connection is None


def test_files_are_encrypted_where_the_setting_says_so(lake_settings: Callable[..., Settings]) -> None:
    for is_encrypted in (False, True):
        settings = lake_settings(lake_encrypted=is_encrypted)
        lake = lake_of(settings)
        with lake.connect("a test") as connection:
            writers.create(connection)
            writers.replace_rows(connection, "2024-01-05", 1, 1)
        files = writers.files_of(settings)
        assert files
        for file in files:
            read = duckdb.connect().execute
            if is_encrypted:
                with pytest.raises(duckdb.Error, match=r"(?i)encrypt"):
                    read(f"select * from read_parquet('{file}')").fetchall()
            else:
                assert len(read(f"select * from read_parquet('{file}')").fetchall()) == writers.ROWS
        # Another process knows the catalogue only.
        (process,) = [writers.start(settings, "replace_rows", "2024-01-05", 1, [1, 2])]
        writers.go([process])
        writers.outputs([process])
        with lake.connect("a test") as connection:
            assert connection.scalar("select count(*) from core.facts") == 2 * writers.ROWS


def test_a_catalogue_may_be_a_file(
    extensions: None, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = settings_for(catalog=str(tmp_path / "lake.ducklake"))
    lake = lake_of(settings)
    with lake.connect("a test") as connection:
        writers.create(connection)
        writers.replace_rows(connection, "2024-01-05", 1, 1)
    with lake.connect_read_only("a test") as reading:
        assert reading is not None
        assert reading.scalar("select count(*) from core.facts") == writers.ROWS
    assert (tmp_path / "lake.ducklake").stat().st_mode & 0o077 == 0


def test_another_version_of_duckdb_is_refused(
    monkeypatch: pytest.MonkeyPatch, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    monkeypatch.setattr(lake_extensions, "SUPPORTED", "0.1.")
    settings = settings_for(catalog=str(tmp_path / "lake.ducklake"))
    with pytest.raises(LakeUnavailableError, match="extra `team`"), lake_of(settings).connect("a test"):
        pass


def test_a_missing_package_is_named() -> None:
    with pytest.raises(LakeUnavailableError, match="duckdb_extension_nothing is not installed"):
        lake_extensions.extension_file("nothing")


def test_settings_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLM_CATALOG", "postgres://me:secret-word@host/db")
    monkeypatch.setenv("CLM_DATA_PATH", "s3://bucket/shop")
    settings = load_settings(source="generic", data_dir=tmp_path)
    assert settings.has_lake and settings.is_data_remote
    catalogue = Catalogue.of(settings)
    assert catalogue.data_path == "s3://bucket/shop/clm/tables/"
    assert catalogue.label == "postgres://host/db, schema clm"
