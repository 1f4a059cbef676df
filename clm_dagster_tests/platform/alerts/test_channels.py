"""Channels against servers on this machine: what they get, what happens if they fail, and that no secret gets out."""

import base64
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.platform.alerts import channels as channels_module
from clm_dagster.platform.alerts import mail as mail_module
from clm_dagster.platform.alerts.channels import Channel, ChannelError, channels_of
from clm_dagster.platform.alerts.mail import MailError
from clm_dagster.platform.alerts.messages import Message
from clm_dagster.platform.alerts.sending import send_test_alert
from clm_dagster.settings import Settings, SettingsError
from clm_dagster_tests.platform.alerts.servers import mail_server, web_server, write_certificate

MESSAGE = Message(
    "clm_dagster demo: 1 error",
    "<!channel> & Ünïcode\n.\nend",
    {"shop": "demo", "job": "daily", "error": "x"},
)
SettingsFor = Callable[..., Settings]


def only(settings: Settings) -> Channel:
    (channel,) = channels_of(settings)
    return channel


def test_a_chat_program_gets_text_in_which_nothing_is_live(settings_for: SettingsFor) -> None:
    with web_server() as web:
        only(settings_for(webhook_url=web.url())).send(MESSAGE)
    assert web.taken == [{"text": "&lt;!channel&gt; &amp; Ünïcode\n.\nend", "job": "daily", "error": "x"}]


def test_a_program_gets_everything_as_it_is(settings_for: SettingsFor) -> None:
    with web_server() as web:
        only(settings_for(alert_urls=web.url("/a?token=x y", "ann:s%40cret@").replace(" ", "%20"))).send(
            MESSAGE
        )
    assert web.taken == [{"text": MESSAGE.text, **MESSAGE.fields}]
    login = web.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(login) == b"ann:s@cret"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_error_and_nothing_is_sent_there(status: int, settings_for: SettingsFor) -> None:
    with web_server() as web, web_server() as other:
        web.status, web.location = status, other.url()
        with pytest.raises(ChannelError, match=f"answered {status}, a redirect"):
            only(settings_for(webhook_url=web.url("/T0KEN"))).send(MESSAGE)
        assert other.attempts == 0


def test_a_server_that_hangs_is_left(settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "_TIMEOUT", 0.1)
    with web_server() as web:
        web.pause = 0.5
        with pytest.raises(ChannelError, match=r"webhook at 127.0.0.1: .*timed out") as error:
            only(settings_for(webhook_url=web.url("/T0KEN"))).send(MESSAGE)
    assert "T0KEN" not in str(error.value) and error.value.__cause__ is None


def test_an_answer_that_is_no_http_is_an_error(settings_for: SettingsFor) -> None:
    with mail_server() as mailbox:
        channel = only(settings_for(webhook_url=f"http://127.0.0.1:{mailbox.port}/T0KEN"))
        with pytest.raises(ChannelError) as error:
            channel.send(MESSAGE)
    assert "T0KEN" not in str(error.value)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd/none", "ftp://host/T0KEN", "T0KEN", "http://", "http://h:x/"]
)
def test_an_address_that_is_none_is_an_error_that_does_not_show_it(
    address: str, settings_for: SettingsFor
) -> None:
    with pytest.raises(SettingsError, match="CLM_WEBHOOK_URL: ") as error:
        channels_of(settings_for(webhook_url=address))
    assert "T0KEN" not in str(error.value)


def test_secrets_are_read_from_files_and_variables(
    settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("https://one.example/a\nhttps://two.example/${TOKEN}\n")
    monkeypatch.setenv("TOKEN", "t0k3n")
    settings = settings_for(alert_urls=f"file:{file}", webhook_url="https://chat.example/${TOKEN}")
    assert [c.title for c in channels_of(settings)] == [
        "webhook at chat.example",
        "URL at one.example",
        "URL at two.example",
    ]
    monkeypatch.delenv("TOKEN")
    with pytest.raises(SettingsError, match="CLM_WEBHOOK_URL: the environment variable TOKEN is not set"):
        channels_of(settings)
    with pytest.raises(SettingsError, match=r"CLM_WEBHOOK_URL: the file .*missing.* cannot be read"):
        channels_of(settings_for(webhook_url=f"file:{tmp_path / 'missing'}"))


# --------------------------------------------------------------------------------------- mail


def test_a_mail(settings_for: SettingsFor) -> None:
    with mail_server() as mailbox:
        address = f"smtp://127.0.0.1:{mailbox.port}"
        only(settings_for(smtp_url=address, alert_from="clm@shop.example", alert_to="ann@shop.example")).send(
            MESSAGE
        )
    ((receiver, mail),) = mailbox.taken
    assert receiver == "ann@shop.example" and mailbox.encrypted == [False]
    assert "Subject: clm_dagster demo: 1 error\nFrom: clm@shop.example\nTo: ann@shop.example\n" in mail
    assert "Auto-Submitted: auto-generated" in mail and "\n.\nend" in mail


@pytest.mark.parametrize("scheme", ["starttls", "smtps"])
def test_a_password_over_tls(
    scheme: str, settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path)
    with mail_server(certificate, is_tls=scheme == "smtps") as mailbox:
        mailbox.password = "pass/w0rd"
        address = f"{scheme}://ann%40shop.example:pass%2Fw0rd@localhost:{mailbox.port}"
        channel = only(settings_for(smtp_url=address, alert_to="ann@shop.example"))
        with pytest.raises(MailError, match="CERTIFICATE_VERIFY_FAILED"):
            channel.send(MESSAGE)
        assert mailbox.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        channel.send(MESSAGE)
        assert mailbox.logins == [("ann@shop.example", "pass/w0rd")] and mailbox.encrypted == [True]
        mailbox.password = "other"
        with pytest.raises(MailError, match="answered 535 wrong password") as error:
            channel.send(MESSAGE)
        assert "pass/w0rd" not in str(error.value)


def test_without_a_password_a_certificate_of_its_own_is_enough(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    with mail_server(write_certificate(tmp_path)) as mailbox:
        address = f"smtp://127.0.0.1:{mailbox.port}"
        only(settings_for(smtp_url=address, alert_to="ann@shop.example")).send(MESSAGE)
    assert mailbox.encrypted == [True]


def test_a_password_is_not_sent_in_the_clear_to_another_machine(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server() as mailbox:
        here = ("127.0.0.1", mailbox.port)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", here)])
        settings = settings_for(smtp_url="smtp://ann:s3cret@mail.example", alert_to="ann@shop.example")
        with pytest.raises(
            MailError, match="does not offer STARTTLS, and a password is not sent in the clear"
        ):
            only(settings).send(MESSAGE)
    assert mailbox.logins == []


def test_a_mail_server_that_hangs_or_refuses_is_named(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_module, "_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, mail_server() as mailbox:
        port = silent.getsockname()[1]
        settings = settings_for(smtp_url=f"smtp://127.0.0.1:{port}", alert_to="ann@shop.example")
        with pytest.raises(MailError, match=r"mail to ann@shop.example by 127.0.0.1: .*timed out"):
            only(settings).send(MESSAGE)
        mailbox.refuse = {"RCPT": "550 no such user"}
        with pytest.raises(MailError, match="answered 550 no such user; check CLM_ALERT_TO"):
            only(settings.replace(smtp_url=f"smtp://127.0.0.1:{mailbox.port}")).send(MESSAGE)
        mailbox.refuse = {"DATA": "552 full"}
        with pytest.raises(MailError, match="answered 552 full"):
            only(settings.replace(smtp_url=f"smtp://127.0.0.1:{mailbox.port}")).send(MESSAGE)


def test_settings_of_mail_that_cannot_work(settings_for: SettingsFor) -> None:
    with pytest.raises(SettingsError, match="set CLM_ALERT_TO"):
        settings_for(smtp_url="smtp://mail.example")
    for address in ("https://mail.example/s3cret", "smtp://", "s3cret"):
        with pytest.raises(SettingsError, match="CLM_SMTP_URL: expected smtps://") as error:
            channels_of(settings_for(smtp_url=address, alert_to="ann@shop.example"))
        assert "s3cret" not in str(error.value)
    with pytest.raises(SettingsError, match="'ann' is no mail address"):
        channels_of(settings_for(smtp_url="smtp://mail.example", alert_to="ann"))


def test_a_test_alert_goes_to_every_channel_and_says_what_happened(settings_for: SettingsFor) -> None:
    with web_server() as web, web_server() as broken, mail_server() as mailbox:
        broken.status = 500
        settings = settings_for(
            webhook_url=web.url(),
            alert_urls=f"{broken.url()}, {web.url('/other')}",
            smtp_url=f"smtp://127.0.0.1:{mailbox.port}",
            alert_to="ann@shop.example",
        )
        found = send_test_alert(settings.replace(alert_urls=broken.url()))
        assert found == {
            "webhook at 127.0.0.1": "",
            "URL at 127.0.0.1": "URL at 127.0.0.1: answered 500 (Internal Server Error); it is tried again",
            "mail to ann@shop.example by 127.0.0.1": "",
        }
    assert "this is a test" in web.taken[0]["text"] and "this is a test" in mailbox.taken[0][1]
