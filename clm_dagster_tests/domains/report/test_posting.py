"""Posting the headlines to a chat program, against a local server."""

from datetime import date
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.domains.report.posting import NoFactsError, post
from clm_dagster.domains.report.wording import WordingError
from clm_dagster.domains.report.writing import folder_of
from clm_dagster.platform.alerts.channels import ChannelError
from clm_dagster.platform.secrets import UnknownNameError
from clm_dagster.settings import Settings, SettingsError, load_settings
from clm_dagster_tests.platform.alerts.servers import web_server


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    settings = load_settings(data_dir=tmp_path)
    settings.published_path.parent.mkdir(parents=True)
    with duckdb.connect(str(settings.published_path)) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.report_facts (as_of timestamp, rank bigint, sentence_en varchar, sentence_zh varchar)"
        )
        for day in ("2024-06-03", "2024-06-10"):
            for rank in range(1, 10):
                english = f"<b>{rank}</b> of {day}"
                connection.execute(
                    "insert into marts.report_facts values (?, ?, ?, ?)", [day, rank, english, f"第{rank}"]
                )
    return settings


def test_mondays_sentences_of_the_newest_week(shop: Settings) -> None:
    with web_server() as server:
        posted = post(shop, server.url())
    assert posted.as_of == date(2024, 6, 10)
    (body,) = server.taken
    assert body == {
        "text": "Week to 9 June 2024\n"
        + "\n".join(f"{rank}. &lt;b&gt;{rank}&lt;/b&gt; of 2024-06-10" for rank in range(1, 8))
    }


def test_language_week_and_page_are_chosen(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    served = shop.replace(report_url="https://shop.example/r/")
    folder = folder_of(served, date(2024, 6, 3))
    folder.mkdir(parents=True)
    (folder / "index.html").touch()
    with web_server() as server:
        monkeypatch.setenv("REPORT_HOOK", server.url("/hook/token"))
        posted = post(served, "${REPORT_HOOK}", date(2024, 6, 3), "zh")
    lines = server.taken[0]["text"].splitlines()
    assert lines[0] == "截至2024年6月2日的一周"
    assert lines[1:] == [
        *(f"{rank}. 第{rank}" for rank in range(1, 8)),
        "报告页面：https://shop.example/r/2024-06-03/index.html",
    ]
    assert "attachments" not in server.taken[0]  # the page has no picture
    assert "token" not in posted.host


def test_a_picture_is_shown_if_it_can_be_opened(shop: Settings) -> None:
    served = shop.replace(report_url="https://shop.example/r")
    folder = folder_of(served, date(2024, 6, 10))
    folder.mkdir(parents=True)
    (folder / "headline.png").touch()
    with web_server() as server:
        post(served, server.url())
        post(shop, server.url())
    assert server.taken[0]["attachments"] == [
        {"fallback": "Week to 9 June 2024", "image_url": "https://shop.example/r/2024-06-10/headline.png"}
    ]
    assert "attachments" not in server.taken[1]
    with pytest.raises(SettingsError, match="is no address; expected one that starts with https"):
        shop.replace(report_url="shop.example/r")


def test_the_command_posts_and_shows_what_it_posted(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLM_DATA_DIR", str(shop.data_dir))
    with web_server() as server:
        done = CliRunner().invoke(cli, ["report", "--post", server.url("/hook/token"), "--language", "zh"])
    assert done.exit_code == 0, done.output
    assert len(server.taken) == 1 and "第1" in done.output and "token" not in done.output
    both = CliRunner().invoke(cli, ["report", "--post", server.url(), "--out", "page.html"])
    assert both.exit_code == 2 and "leave out --out" in both.output


def test_what_cannot_be_posted_says_why(shop: Settings, tmp_path: Path) -> None:
    with pytest.raises(
        NoFactsError, match=r"no facts of the as_of 2024-06-04; expected one of 2024-06-10, 2024-06-03"
    ):
        post(shop, "http://127.0.0.1:1/x", date(2024, 6, 4))
    with pytest.raises(WordingError, match="no language 'xx'"):
        post(shop, "http://127.0.0.1:1/x", language="xx")
    with pytest.raises(SettingsError, match=r"--post.*expected an address"):
        post(shop, "ftp://secret-token@host/x")
    with pytest.raises(UnknownNameError, match="NO_SUCH_HOOK is not set"):
        post(shop, "${NO_SUCH_HOOK}")
    with pytest.raises(SettingsError, match="run `clm run` first"):
        post(load_settings(data_dir=tmp_path / "empty"), "http://127.0.0.1:1/x")


def test_a_refusal_shows_no_token(shop: Settings) -> None:
    with web_server() as server:
        server.status = 403
        with pytest.raises(ChannelError, match=r"answered 403 \(Forbidden\)") as raised:
            post(shop, server.url("/hook/secret-token"))
    assert "secret-token" not in str(raised.value)


def test_a_copy_without_facts_says_what_to_do(shop: Settings) -> None:
    with duckdb.connect(str(shop.published_path)) as connection:
        connection.execute("drop table marts.report_facts")
    with pytest.raises(NoFactsError, match=r"has no marts.report_facts; run `clm run`"):
        post(shop, "http://127.0.0.1:1/x")
