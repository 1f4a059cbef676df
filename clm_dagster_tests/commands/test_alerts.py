"""`clm alerts` shows what is wrong and tries the channels; `clm run` tells them at its end, without a daemon."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from clm_dagster.command_line import Program
from clm_dagster.commands.alerts import TestAlertError, alerts
from clm_dagster.definitions import build_definitions
from clm_dagster.errors import UserError
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings
from clm_dagster.shop_alerts import alerts_of
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.platform.alerts.servers import web_server
from clm_dagster_tests.shops import quiet, small_shop_events, write_shop


def command(settings: Settings, *arguments: str) -> Result:
    @click.group()
    @click.pass_context
    def program(context: click.Context) -> None:
        context.obj = Program(lambda: settings, build_definitions)

    program.add_command(alerts)
    return CliRunner().invoke(program, ["alerts", *arguments])


def test_without_a_channel_the_command_says_what_to_set(settings: Settings) -> None:
    shown = command(settings)
    assert "Nothing is wrong." in shown.output and "CLM_SMTP_URL are empty" in shown.output.replace("\n", " ")
    assert not settings.data_dir.exists()
    assert isinstance(command(settings, "--test").exception, TestAlertError)


def test_every_channel_is_tried(settings: Settings) -> None:
    with web_server() as good, web_server() as bad:
        bad.status = 404
        chosen = settings.replace(webhook_url=good.url("/T0KEN"))
        shown = command(chosen, "--test")
        assert shown.exit_code == 0 and "sent  webhook at 127.0.0.1" in shown.output
        assert "this is a test" in good.taken[0]["text"]
        shown = command(chosen.replace(alert_urls=bad.url()), "--test")
        assert "failed  URL at 127.0.0.1: answered 404 (Not Found)" in shown.output
        assert isinstance(shown.exception, TestAlertError) and "T0KEN" not in shown.output


def test_secret_settings_are_shown_by_no_command(settings: Settings) -> None:
    from clm_dagster.settings_view import as_dict

    chosen = settings.replace(webhook_url="https://a.example/T0KEN", alert_urls="https://b.example/T0KEN")
    text = json.dumps(as_dict(chosen), default=str) + repr(chosen)
    assert "T0KEN" not in text and "CLM_ALERT_URLS" in text


@pytest.mark.slow
def test_clm_run_tells_at_its_end_and_shares_the_memory_of_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server() as web:
        settings = write_shop(tmp_path, small_shop_events(orders=10, days=3), end_date="2024-01-04")
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
        settings = settings.replace(alert_urls=web.url(), alert_level="error")
        path, said = Path(settings.input) / "events.csv", list[str]()
        good = path.read_text()
        path.write_text(good.replace("2024-01-", "1999-01-"))
        with pytest.raises(UserError, match="rejected"):
            run_shop(settings, quiet, said.append, models=False)
        titles = [a["title"] for body in web.taken for a in body["alerts"]]
        assert any(title.startswith("Rejected share") for title in titles) and said == []
        shown = command(settings)
        assert "ERROR: Rejected share" in shown.output and "Alerts go to: URL at 127.0.0.1" in shown.output
        daemon = alerts_of(settings)
        with open_instance(settings) as instance:
            assert str(daemon.look(instance, datetime.now(UTC))) == "nothing new"
        web.taken.clear()
        web.status = 500
        path.write_text(good)
        run_shop(settings, quiet, said.append, models=False)
        assert said[-1].startswith("Alerts were not sent: URL at 127.0.0.1: answered 500")
        web.status = 204
        with open_instance(settings) as instance:
            assert daemon.look(instance, datetime.now(UTC)).sent
    assert {a["news"] for body in web.taken for a in body["alerts"]} == {"solved"}
