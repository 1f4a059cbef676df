"""Pages as files: the archive, the newest page, the command and the asset."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.domains.report.page_asset import page_asset
from clm_dagster.domains.report.reading import NothingToReportError
from clm_dagster.domains.report.writing import write_page
from clm_dagster.settings import Settings, SettingsError
from clm_dagster_tests.domains.report.page_reader import ReadPage
from clm_dagster_tests.domains.report.page_shop import empty_shop, first_tables, publish_shop


@pytest.fixture
def settings(settings_for: Callable[..., Settings], tmp_path: Path) -> Settings:
    """Settings of a shop whose copy is published."""
    made = settings_for(data_dir=tmp_path / "data")
    publish_shop(made)
    return made


def test_the_newest_page_is_in_the_archive_and_the_latest(settings: Settings) -> None:
    written = write_page(settings)
    folder = settings.data_dir.resolve() / "reports"
    assert written.path == folder / "2024-06-03" / "index.html"
    assert written.latest == folder / "latest.html"
    text = written.path.read_text(encoding="utf-8")
    assert text == written.latest.read_text(encoding="utf-8") and len(text.encode()) == written.size
    assert re.search('<html lang="en"', text)


def test_a_picture_lies_beside_a_page_that_is_served(settings: Settings) -> None:
    assert not write_page(settings).path.with_name("headline.png").exists()
    served = settings.replace(report_url="https://shop.example/reports")
    picture = write_page(served).path.with_name("headline.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 5_000
    assert write_page(served).path.with_name("headline.png").read_bytes() == picture


def test_an_older_page_leaves_the_latest_alone(settings: Settings) -> None:
    newest = write_page(settings)
    assert newest.latest is not None
    before = newest.latest.read_text(encoding="utf-8")
    older = write_page(settings, date(2024, 5, 27), language="zh")
    assert older.latest is None and older.path.parent.name == "2024-05-27"
    assert '<html lang="zh"' in older.path.read_text(encoding="utf-8")
    assert newest.latest.read_text(encoding="utf-8") == before


def test_a_page_of_the_archive_stays_as_it_was_known_then(settings: Settings, tmp_path: Path) -> None:
    archived = write_page(settings, date(2024, 5, 27))
    before = archived.path.read_bytes()
    with duckdb.connect(str(settings.published_path)) as raw:
        raw.execute("update marts.shop_daily set net_revenue = 987654 where sales_date = '2024-05-20'")
    again = write_page(settings, date(2024, 5, 27), language="zh")
    assert again.path == archived.path and again.size == len(before)
    assert again.path.read_bytes() == before
    today = write_page(settings, date(2024, 5, 27), out=tmp_path / "today.html")
    texts = [ReadPage.of(text.decode()).tables["en", "weeks"] for text in (before, today.path.read_bytes())]
    assert [float(rows[0]["net_revenue"].content) > 900_000 for rows in texts] == [False, True]


def test_a_page_is_the_same_however_often_it_is_written(settings: Settings) -> None:
    assert write_page(settings).path.read_bytes() == write_page(settings).path.read_bytes()


def test_what_is_missing_is_said(
    settings: Settings, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    with pytest.raises(NothingToReportError, match=r"no snapshot of 2024-06-04.*2024-05-27 to 2024-06-03"):
        write_page(settings, date(2024, 6, 4))
    with pytest.raises(SettingsError, match="nothing has been published"):
        write_page(settings_for(data_dir=tmp_path / "other"))
    bare = settings_for(data_dir=tmp_path / "bare")
    bare.published_path.parent.mkdir(parents=True)
    empty_shop(str(bare.published_path)).raw.close()
    with pytest.raises(NothingToReportError, match="clm run"):
        write_page(bare)


def test_a_shop_without_known_customers_has_a_page(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    """Where all customers are guests, or nobody has ordered yet, there are facts and no customers to segment."""
    settings = settings_for(data_dir=tmp_path / "guests")
    settings.published_path.parent.mkdir(parents=True)
    shop = empty_shop(str(settings.published_path))
    first_tables(shop)
    sentence = "Revenue in the week to 2 June 2024 was €5."
    shop.run(
        "delete from core.rfm_scores",
        "create table marts.report_facts as select timestamp '2024-06-03' as as_of, 'revenue' as section, "
        f"'revenue' as fact, null::varchar as subject, '{sentence}' as sentence_en, '{sentence}' as sentence_zh, "
        "1 as rank, 'revenue' as chart, true as is_trusted",
    )
    shop.raw.close()
    written = write_page(settings)
    assert f"{written.as_of:%Y-%m-%d}" == "2024-06-03" and written.latest is not None
    assert sentence in written.path.read_text(encoding="utf-8")
    with pytest.raises(NothingToReportError, match=r"no snapshot of 2024-05-27.*2024-06-03 to 2024-06-03"):
        write_page(settings, date(2024, 5, 27))


def test_the_command_writes_where_it_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLM_DATA_DIR", str(settings.data_dir))
    target = tmp_path / "elsewhere" / "page.html"
    done = CliRunner().invoke(cli, ["report", "--no-open", "--out", str(target), "--language", "zh"])
    assert done.exit_code == 0, done.output
    assert str(target) in done.output.replace("\n", "") and target.exists()
    assert not (settings.data_dir / "reports").exists()


def test_the_command_opens_the_page(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLM_DATA_DIR", str(settings.data_dir))
    # A browser of the system would open a window.
    monkeypatch.setenv("BROWSER", "/bin/true %s")
    done = CliRunner().invoke(cli, ["report"])
    assert done.exit_code == 0, done.output
    assert "latest.html" in done.output and "No browser" not in done.output


def test_the_asset_writes_the_page(settings: Settings) -> None:
    result = dg.materialize([page_asset(settings)])
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["as_of"].value == "2024-06-03"
    assert (settings.data_dir / "reports" / "latest.html").exists()


def test_the_asset_waits_for_a_first_snapshot(settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    bare = settings_for(data_dir=tmp_path / "bare")
    bare.published_path.parent.mkdir(parents=True)
    empty_shop(str(bare.published_path)).raw.close()
    (event,) = dg.materialize([page_asset(bare)]).get_asset_materialization_events()
    assert event.materialization.metadata["written"].value is False
    assert not (bare.data_dir / "reports").exists()
