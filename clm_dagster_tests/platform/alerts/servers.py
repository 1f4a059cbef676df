"""Servers that receive alerts: a web server and a mail server, which store what they took and can be made to fail.

Belongs here: the servers, and a certificate for this machine. Does not: what a test expects.
"""

import base64
import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Receiver:
    """What a server took. status: what it answers; only 2xx takes a message. pause: seconds before it answers."""

    port: int = 0
    status: int = 204
    pause: float = 0.0
    location: str = ""
    taken: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    attempts: int = 0

    def url(self, path: str = "/hook", login: str = "") -> str:
        """Return an address of the server. login: `user:password@`."""
        return f"http://{login}127.0.0.1:{self.port}{path}"


@contextmanager
def web_server() -> Iterator[Receiver]:
    """Run a web server that takes JSON."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.attempts += 1
            time.sleep(receiver.pause)
            if receiver.status < 300:
                receiver.taken.append(json.loads(body))
                receiver.headers.append(dict(self.headers))
            self.send_response(receiver.status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with _running(_Web(("127.0.0.1", 0), Handler)) as port:
        receiver.port = port
        yield receiver


class _Web(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that did not wait for the answer."""


@dataclass
class Mailbox:
    """What a mail server took. refuse: what it answers to a command, for a while. logins: user and password."""

    port: int = 0
    taken: list[tuple[str, str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    password: str = ""


@contextmanager
def mail_server(certificate: Path | None = None, is_tls: bool = False) -> Iterator[Mailbox]:
    """Run a mail server. certificate: for STARTTLS, or for TLS from the start."""
    mailbox = Mailbox()
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    class Handler(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            if is_tls:
                assert context is not None
                self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def handle(self) -> None:
            secure, receiver = is_tls, ""
            self.say("220 mail.example ready")
            while line := self.rfile.readline().decode().strip():
                verb = line.split()[0].upper().split(":")[0]
                if verb in mailbox.refuse:
                    self.say(mailbox.refuse[verb])
                elif verb == "EHLO":
                    extensions = ["AUTH PLAIN", "8BITMIME", "SMTPUTF8"]
                    extensions += ["STARTTLS"] if context and not secure else []
                    self.say("250-mail.example", *(f"250-{each}" for each in extensions[:-1]))
                    self.say(f"250 {extensions[-1]}")
                elif verb == "STARTTLS":
                    assert context is not None
                    self.say("220 go on")
                    self.request = context.wrap_socket(self.request, server_side=True)
                    super().setup()
                    secure = True
                elif verb == "AUTH":
                    _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                    mailbox.logins.append((user, password))
                    good = password == mailbox.password
                    self.say("235 welcome" if good else f"535 wrong password {password} for {user}")
                elif verb == "RCPT":
                    receiver = line.split("<")[1].split(">")[0]
                    self.say("250 ok")
                elif verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        lines.append(text.removeprefix("."))
                    mailbox.taken.append((receiver, "\n".join(lines)))
                    mailbox.encrypted.append(secure)
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

        def say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    with _running(_Mail(("127.0.0.1", 0), Handler)) as port:
        mailbox.port = port
        yield mailbox


class _Mail(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that refuses the certificate."""


@contextmanager
def _running(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_certificate(folder: Path) -> Path:
    """Write a key and a certificate for this machine that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
