"""Alerts by mail.

Belongs here: the mail server's address, encryption, the mail. Does not: texts (`messages`).

`smtps://` is TLS from the start, `starttls://` TLS before anything else is said, `smtp://` TLS where the server offers
it. A password goes to another machine over TLS with a valid certificate only.
"""

import hashlib
import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from urllib.parse import unquote, urlsplit

from clm_dagster.errors import UserError
from clm_dagster.platform.alerts.messages import Message
from clm_dagster.settings import SettingsError

_PORTS = {"smtp": 25, "starttls": 587, "smtps": 465}
_LOCAL = ("localhost", "127.0.0.1", "::1")
_TIMEOUT = 10.0
_MOST_REASON = 200


class MailError(UserError, OSError):
    """The mail server did not take a mail. The text names the host and the reason, and shows no password."""


@dataclass(frozen=True)
class MailChannel:
    """A mail server and one receiver: if one address is refused, nobody else gets a mail twice.

    login: user and password, None where the server asks for none.
    """

    scheme: str
    host: str
    port: int
    login: tuple[str, str] | None
    sender: str
    receiver: str

    @classmethod
    def of(cls, address: str, sender: str, receivers: Sequence[str]) -> "list[MailChannel]":
        """Return one channel for each receiver. Raise SettingsError, without the address, if it is none."""
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.scheme not in _PORTS:
            raise SettingsError(
                "CLM_SMTP_URL: expected smtps://user:password@host, starttls://user:password@host or smtp://host "
                "(not shown here); write special characters of user and password as %40 and so on"
            )
        for each in (sender, *receivers):
            if each and ("@" not in parseaddr(each)[1] or not each.isprintable()):
                raise SettingsError(f"CLM_ALERT_TO, CLM_ALERT_FROM: {each!r} is no mail address")
        login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        port = port or (587 if login and parts.scheme == "smtp" else _PORTS[parts.scheme])
        return [cls(parts.scheme, host, port, login, sender or receivers[0], each) for each in receivers]

    @property
    def key(self) -> str:
        """The identity: a hash of the server and the receiver, whatever the password is."""
        user = self.login[0] if self.login else ""
        text = " ".join([self.scheme, user, self.host, str(self.port), self.receiver])
        return f"mail-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def title(self) -> str:
        """The receiver and the host."""
        return f"mail to {self.receiver} by {self.host}"

    def send(self, message: Message) -> None:
        """Send a mail. Raise MailError."""
        try:
            with self._connect() as server:
                server.send_message(self._mail(message))
        except smtplib.SMTPRecipientsRefused as error:
            code, answer = error.recipients.get(parseaddr(self.receiver)[1], (0, b""))
            raise MailError(f"{self.title}: {self._answered(code, answer)}; check CLM_ALERT_TO") from None
        except smtplib.SMTPResponseException as error:
            raise MailError(f"{self.title}: {self._answered(error.smtp_code, error.smtp_error)}") from None
        except (OSError, smtplib.SMTPException) as error:
            reason = str(error) or type(error).__name__
            raise MailError(f"{self.title}: {self._hidden(reason)}") from None

    def _connect(self) -> smtplib.SMTP:
        """Open a connection, encrypted and logged in as far as it has to be. Raise OSError, SMTPException."""
        # Asking the network for the own name can take long.
        own = socket.gethostname()
        if self.scheme == "smtps":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, own, timeout=_TIMEOUT, context=context
            )
        else:
            server = smtplib.SMTP(self.host, self.port, own, timeout=_TIMEOUT)
        try:
            if self.scheme != "smtps":
                self._encrypt(server)
            if self.login:
                server.login(*self.login)
        except BaseException:
            server.close()
            raise
        return server

    def _encrypt(self, server: smtplib.SMTP) -> None:
        """Begin TLS. Where no password is sent, a certificate that nobody vouches for is better than none."""
        server.ehlo_or_helo_if_needed()
        is_needed = self.scheme == "starttls" or (self.login is not None and self.host not in _LOCAL)
        if not server.has_extn("starttls"):
            if is_needed:
                raise smtplib.SMTPNotSupportedError(
                    "the server does not offer STARTTLS, and a password is not sent in the clear; try smtps://"
                )
            return
        context = ssl.create_default_context()
        if not is_needed:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        server.starttls(context=context)

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = " ".join(message.subject.split())
        mail["From"], mail["To"] = self.sender, self.receiver
        mail["Date"] = formatdate(localtime=False)
        mail["Message-ID"] = make_msgid(domain=parseaddr(self.sender)[1].rpartition("@")[2])
        # No out-of-office replies.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return mail

    def _answered(self, code: int, answer: bytes | str) -> str:
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
        return f"answered {code} {self._hidden(text)}".strip()

    def _hidden(self, text: str) -> str:
        password = self.login[1] if self.login else ""
        shown = text.replace(password, "***") if password else text
        return " ".join(shown.split())[:_MOST_REASON]
