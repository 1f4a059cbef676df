"""`clm init`: a folder for a new shop, which runs as it is, and adapters outside of the project."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clm_dagster.cli import cli
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.settings import SettingsError, load_settings, read_env_file
from clm_dagster_tests.domains.ingest.shop import Shop
from clm_dagster_tests.domains.ingest.test_exports import FIGURES, Figures, shopify_text

LINES = """\
order_number,ordered_at,email,sku,product,quantity,price,status
1,2024-01-05 10:00:00,Ann@example.org,M1,Mask,2,3.50,paid
1,2024-01-05 10:00:00,Ann@example.org,,Cream,1,2.00,paid
1,2024-01-09 10:00:00,Ann@example.org,M1,Mask,-1,3.50,paid
2,2024-01-06 10:00:00,bob@example.org,M1,Mask,2,3.50,cancelled
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CLM_SOURCE", "CLM_ADAPTERS_DIR", "CLM_INPUT"):
        monkeypatch.delenv(name, raising=False)


def init(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["init", *arguments], catch_exceptions=False)


def test_a_new_shop_loads_as_it_is(tmp_path: Path, make_shop: Callable[..., Shop]) -> None:
    printed = init("my-shop").output
    assert "cd my-shop" in printed
    assert "adapters/my_shop/adapter.yml" in printed
    shop = make_shop(source="my_shop", adapters_dir=tmp_path / "my-shop" / "adapters")
    shop.write("orders.csv", LINES)
    shop.ingest()
    assert shop.query(FIGURES) == [Figures(1, 1, "9.00", refunds="3.50").row]
    assert shop.query("select reason, row_count::int from raw.skips") == [("cancelled", 1)]


def test_a_new_shop_may_start_from_a_shipped_adapter(tmp_path: Path, make_shop: Callable[..., Shop]) -> None:
    init("web", "--from", "shopify")
    adapters = tmp_path / "web" / "adapters"
    assert "exports:" not in (adapters / "web" / "adapter.yml").read_text()
    gift_cards = adapters / "web" / "gift_cards.csv"
    gift_cards.write_text("pattern\nmask\n")
    sql = adapters / "web" / "_orders.sql"
    sql.write_text(
        sql.read_text().replace("requires_shipping, '') <> 'true'", "requires_shipping, '') <> ''")
    )
    shop = make_shop(source="web", adapters_dir=adapters)
    shop.write("orders.csv", shopify_text().replace("2024-03", "2024-02"))
    shop.ingest()
    # What the shop's own rules call a gift card is no product.
    assert shop.query(FIGURES)[0][7] > 100


def test_the_settings_of_the_folder_are_those_of_its_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init("my_shop")
    monkeypatch.chdir(tmp_path / "my_shop")
    monkeypatch.setenv("CLM_INPUT", "elsewhere")
    before = dict(os.environ)
    read_env_file(Path(".env"))
    try:
        settings = load_settings()
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
    assert (settings.source, settings.input) == ("my_shop", "elsewhere")
    assert settings.adapter_dir == (tmp_path / "my_shop" / "adapters" / "my_shop").resolve()
    (tmp_path / "bad.env").write_text("# fine\n\nCLM_SOURCE generic\n")
    with pytest.raises(SettingsError, match=r"bad\.env:3: expected NAME=value, found 'CLM_SOURCE generic'"):
        read_env_file(tmp_path / "bad.env")


def test_a_folder_that_is_not_empty_and_a_name_that_is_taken_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already and is not empty"):
        init("full")
    with pytest.raises(InputError, match="an adapter 'shopify' already"):
        init("shopify")
    with pytest.raises(InputError, match="not a name for a source"):
        init("1 shop!")
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_an_adapter_of_two_folders_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "adapters" / "generic"
    own.mkdir(parents=True)
    (own / "adapter.yml").write_text("tables: {}\n")
    with pytest.raises(SettingsError, match="two adapters are called 'generic'"):
        load_settings(source="generic", adapters_dir=tmp_path / "adapters")
    with pytest.raises(SettingsError, match=r"Known sources: .*generic.*shopify"):
        load_settings(source="missing", adapters_dir=tmp_path / "adapters")
    assert load_settings(source="shopify", adapters_dir=tmp_path / "adapters").adapter_dir.name == "shopify"
