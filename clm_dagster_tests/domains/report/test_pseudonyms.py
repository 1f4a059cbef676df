"""Pseudonyms: the key of a shop, and whose a pseudonym is."""

import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.domains.report.pseudonyms import PseudonymError, Pseudonyms, customers_of
from clm_dagster.domains.report.writing import write_page
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.report.page_reader import ReadPage
from clm_dagster_tests.domains.report.page_shop import publish_shop


@pytest.fixture
def settings(settings_for: Callable[..., Settings], tmp_path: Path) -> Settings:
    """Settings of a shop whose copy is published."""
    made = settings_for(data_dir=tmp_path / "data")
    publish_shop(made)
    return made


def key_of(settings: Settings) -> bytes:
    return Pseudonyms.of_shop(settings).key


def test_a_shop_has_one_private_key_of_its_own(
    settings: Settings, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    first = key_of(settings)
    path = settings.data_dir / "pseudonyms.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text() == first.hex() + "\n"
    assert key_of(settings) == first and len(first) == 32
    assert key_of(settings_for(data_dir=tmp_path / "other")) != first
    assert [each.name for each in settings.data_dir.iterdir() if each.suffix == ".tmp"] == []


def test_processes_that_make_the_key_at_once_get_the_same(settings: Settings) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert len(set(pool.map(key_of, [settings] * 4))) == 1


def test_sql_and_python_give_the_same_pseudonym() -> None:
    for key in (b"\0" * 32, bytes(range(32)), b"\xff" * 32):
        for customer in ("1", "", "O'Brien", "顾客 🛒", "x" * 300):
            sql = f"select {Pseudonyms(key).sql('id')} from (select ? as id)"
            assert duckdb.execute(sql, [customer]).fetchall() == [(Pseudonyms(key).of(customer),)]
    assert "ff" not in repr(Pseudonyms(b"\xff" * 32))


@pytest.mark.parametrize("text", ["", "abc", "00" * 31, "x" * 64])
def test_a_damaged_key_is_no_key(settings: Settings, text: str) -> None:
    (settings.data_dir / "pseudonyms.key").write_text(text)
    with pytest.raises(PseudonymError, match="expected 64 hexadecimal digits"):
        write_page(settings)


def test_the_customer_of_a_pseudonym_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    html = write_page(settings).path.read_text(encoding="utf-8")
    shown = [row["customer"].content for row in ReadPage.of(html).tables["en", "to_call"]]
    assert len(set(shown)) == len(shown) > 10
    found = [customers_of(settings, pseudonym) for pseudonym in shown]
    assert all(len(ids) == 1 and ids[0].startswith("k") for ids in found)
    monkeypatch.setenv("CLM_DATA_DIR", str(settings.data_dir))
    done = CliRunner().invoke(cli, ["report", "--customer", shown[0]])
    assert done.exit_code == 0 and done.output == f"{found[0][0]}\n"


def test_a_pseudonym_of_nobody_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLM_DATA_DIR", str(settings.data_dir))
    done = CliRunner().invoke(cli, ["report", "--customer", "c0000000000"])
    assert done.exit_code and "no customer has the pseudonym 'c0000000000'" in str(done.exception)
    assert CliRunner().invoke(cli, ["report", "--customer", "c1", "--out", "x.html"]).exit_code == 2
