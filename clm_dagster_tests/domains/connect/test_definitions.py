"""connectors.yml, and what Dagster sees of it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.connect.config import read_connectors
from clm_dagster.domains.connect.errors import ConnectorError
from clm_dagster.errors import UserError
from clm_dagster.settings import Settings
from clm_dagster.shop_pull import pull_shop
from clm_dagster_tests.shops import quiet

GOOD = """
connectors:
  shop_db:
    type: sql
    url: ${SHOP_DB_URL}
    tables:
      orders: {cursor: updated_at, key: order_id}
      customers: {}
  bucket: {type: files, url: s3://bucket/exports, pattern: "*.csv"}
  shopify_admin: {type: rest, preset: shopify_admin, shop: x.myshopify.com, token: "${TOKEN}"}
"""


@pytest.fixture
def connected(settings_for: Callable[..., Settings], tmp_path: Path) -> Callable[[str], Settings]:
    def make(content: str, **given: Any) -> Settings:
        path = tmp_path / "connectors.yml"
        path.write_text(content)
        return settings_for(connectors=path, **given)

    return make


def test_tables_are_assets_upstream_of_landing_and_nothing_is_read(
    connected: Callable[[str], Settings],
) -> None:
    settings = connected(GOOD)
    definitions = build_definitions(settings)
    graph = definitions.resolve_asset_graph()
    keys = {key for key in graph.materializable_asset_keys if key.path[0] == "pull"}
    assert {key.to_user_string() for key in keys} == {
        "pull/shop_db/orders",
        "pull/shop_db/customers",
        "pull/bucket/files",
        "pull/shopify_admin/orders",
        "pull/shopify_admin/customers",
        "pull/shopify_admin/products",
    }
    assert graph.get(dg.AssetKey(["landing", "files"])).parent_keys == keys
    assert definitions.resolve_job_def("pull").asset_layer.executable_asset_keys == keys
    assert not keys & set(definitions.resolve_job_def("daily").asset_layer.executable_asset_keys)
    schedules = {s.name: s.default_status for s in definitions.get_repository_def().schedule_defs}
    assert schedules["pull_schedule"] == dg.DefaultScheduleStatus.STOPPED
    assert not settings.data_dir.exists()


def test_without_connectors_there_is_nothing(settings: Settings) -> None:
    with pytest.raises(
        ConnectorError, match="there are no connectors: the setting CLM_CONNECTORS names no file"
    ):
        pull_shop(settings, quiet)


def test_without_the_packages_the_error_says_how_to_install_them(
    connected: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = connected(GOOD)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConnectorError, match=r"pip install 'clm-dagster\[connectors\]'"):
        read_connectors(Path(settings.data_dir).parent / "connectors.yml", settings)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{type: ftp, url: x}", r"connectors\.yml:2: type is 'ftp'; expected one of sql, files, rest"),
        ("{type: sql, url: x}", r"connectors\.yml:2: 'tables' is missing"),
        ("{type: sql, url: x, tables: {}}", r"`tables` is empty"),
        (
            "{type: sql, url: x, tables: {a-b: {}}}",
            r"'a-b' is not a name for a table.*give a table of another name",
        ),
        (
            "{type: sql, url: x, tables: {a: {curser: b}}}",
            r"unknown key 'curser'; known keys: columns, cursor",
        ),
        ("{type: sql, url: x, tables: {a: {lag: 5}}}", r"there is no cursor"),
        ("{type: sql, url: x, tables: {a: {file: ../a}}}", r"file is '\.\./a'"),
        ("{type: rest}", r"needs either `preset` or `config`"),
        (
            "{type: rest, preset: ebay}",
            r"no preset 'ebay'; the presets are shopify_admin, stripe, woocommerce",
        ),
        ("{type: rest, preset: stripe}", r"the preset stripe needs 'key'"),
        (
            "{type: rest, preset: stripe, key: x, tables: [orders]}",
            r"no table 'orders'; there are charges, refunds",
        ),
        ("{type: rest, preset: stripe, key: x, shop: y}", r"unknown key 'shop'"),
    ],
)
def test_a_mistake_in_the_file_is_named(
    entry: str, message: str, connected: Callable[[str], Settings], tmp_path: Path
) -> None:
    settings = connected(f"connectors:\n  it: {entry}\n")
    with pytest.raises(UserError, match=message):
        read_connectors(tmp_path / "connectors.yml", settings)


def test_an_inbox_that_is_no_folder_is_an_error(connected: Callable[..., Settings], tmp_path: Path) -> None:
    settings = connected(GOOD, input="inbox/*.csv")
    with pytest.raises(ConnectorError, match=r"CLM_INPUT is inbox/\*\.csv; set CLM_INPUT to a folder"):
        read_connectors(tmp_path / "connectors.yml", settings)
