"""The channels that alerts go to, by the settings.

Belongs here: which channels there are, posting to an address. Does not: mail (`mail`), texts (`messages`).

An address may hold a token or a password. No error, name or stored file shows more of it than the host.
"""

import base64
import hashlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from clm_dagster.errors import UserError
from clm_dagster.platform.alerts.mail import MailChannel
from clm_dagster.platform.alerts.messages import Message
from clm_dagster.settings import Settings, SettingsError, reveal

_TIMEOUT = 10.0
_MOST_REASON = 200


class ChannelError(UserError, OSError):
    """A channel did not take a message. The text names the host and the reason, and shows no secret."""


class Channel(Protocol):
    """Something that takes messages."""

    @property
    def key(self) -> str:
        """The identity, which does not reveal the address."""

    @property
    def title(self) -> str:
        """The name for people."""

    def send(self, message: Message) -> None:
        """Send a message. Raise ChannelError."""


@dataclass(frozen=True)
class HttpChannel:
    """An address to which messages are posted as JSON. is_chat: whether it is a webhook of a chat program."""

    address: str
    is_chat: bool

    @property
    def key(self) -> str:
        """The identity: a hash of the address."""
        return (
            f"{'webhook' if self.is_chat else 'url'}-{hashlib.sha256(self.address.encode()).hexdigest()[:16]}"
        )

    @property
    def title(self) -> str:
        """The kind and the host."""
        return f"{'webhook' if self.is_chat else 'URL'} at {urlsplit(self.address).hostname}"

    def send(self, message: Message) -> None:
        """Post a message. Follow no redirect: it would send the message, and perhaps a token, to another place."""
        url, headers = _request_of(urlsplit(self.address))
        body = json.dumps(self._body(message), ensure_ascii=False).encode()
        request = urllib.request.Request(url, body, headers, method="POST")
        try:
            with _opener().open(request, timeout=_TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            error.close()
            reason = _answer(error.code)
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
        raise ChannelError(f"{self.title}: {_hidden(reason, self._secrets())}") from None

    def _body(self, message: Message) -> dict[str, object]:
        if self.is_chat:
            shown = {"fallback": message.subject, "image_url": message.picture}
            pictures = {"attachments": [shown]} if message.picture else {}
            return {"text": _for_chat(message.text), **message.run, **pictures}
        return {"text": message.text, **message.fields}

    def _secrets(self) -> Collection[str]:
        parts = urlsplit(self.address)
        return {self.address, parts.path.lstrip("/"), parts.query, parts.password or ""}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes an error of every redirect."""

    def redirect_request(self, *arguments: object) -> None:
        """Return no new request."""


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirects)


def _request_of(parts: SplitResult) -> tuple[str, dict[str, str]]:
    """Return the address without user and password, and the headers, which have them instead."""
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "clm_dagster"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    host = parts.netloc.rpartition("@")[2]
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    return urlunsplit((parts.scheme, host, path, parts.query, "")), headers


def _answer(code: int) -> str:
    """Return what a refusal means."""
    if code < 400:
        return f"answered {code}, a redirect, which alerts do not follow; set the address that it leads to"
    if code < 500:
        return (
            f"answered {code} ({http.client.responses.get(code, 'unknown')}); check the address and its token"
        )
    return f"answered {code} ({http.client.responses.get(code, 'unknown')}); it is tried again"


def _for_chat(text: str) -> str:
    """Return a text in which nothing is a command, a mention or a hidden link, as Slack asks for it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _hidden(text: str, secrets: Collection[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > 3:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:_MOST_REASON]


def channels_of(settings: Settings) -> list[Channel]:
    """Return the channels of the settings. Raise SettingsError, without the value, for an address that is none."""
    found: list[Channel] = []
    webhook = reveal(settings.webhook_url, "CLM_WEBHOOK_URL")
    if webhook:
        found.append(http_channel(webhook, "CLM_WEBHOOK_URL", is_chat=True))
    for address in reveal(settings.alert_urls, "CLM_ALERT_URLS").replace(",", " ").split():
        found.append(http_channel(address, "CLM_ALERT_URLS", is_chat=False))
    server = reveal(settings.smtp_url, "CLM_SMTP_URL")
    if server:
        found += MailChannel.of(server, settings.alert_from, settings.mail_receivers)
    return list({channel.key: channel for channel in found}.values())


def http_channel(address: str, variable: str, is_chat: bool) -> HttpChannel:
    """Return the channel of an address. Raise SettingsError, without the address, if it is none.

    variable: the setting or option that has it, for messages.
    """
    try:
        parts = urlsplit(address)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        is_valid = False
    if not is_valid or not address.isprintable():
        raise SettingsError(
            f"{variable}: expected an address that starts with https:// or http:// (not shown here)"
        )
    return HttpChannel(address, is_chat)
