"""Posting batches to a webhook, so that a receiver that honours idempotency keys acts once.

Belongs here: the request, repeated requests, where the URL comes from. Does not: which rows are sent (`ledger`).
"""

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import IO
from urllib.parse import urlsplit

from clm_dagster.domains.actions.exports.errors import ExportError
from clm_dagster.domains.actions.exports.ledger import Batch
from clm_dagster.platform.secrets import filled, has_names

# Where the command puts a URL that is written out: Dagster stores the configuration of runs, but no variables.
URL_VARIABLE = "ACTIONS_EXPORT_URL"
_BUSY = frozenset({408, 425, 429})
_LONGEST_WAIT = 60.0
_OPTION = "the URL of the webhook (--url)"


@dataclass(frozen=True)
class Webhook:
    """A receiver. host: for messages. identity: tells receivers apart in the ledger, without their secrets.

    timeout: seconds for an answer. attempts, wait: how often to post a batch, and seconds before the second time.
    """

    url: str
    host: str
    identity: str
    timeout: float
    attempts: int
    wait: float

    @classmethod
    def of(cls, text: str | None, timeout: float, attempts: int, wait: float) -> "Webhook":
        """Return the receiver of a URL, in which `${NAME}` is an environment variable. Raise ExportError."""
        if not text:
            raise ExportError(
                "the destination webhook needs a URL; give --url 'https://host/path?token=${NAME}', with secrets in "
                "environment variables"
            )
        url = str(filled(text, _OPTION))
        # With names in it, it stays the same receiver when a secret is renewed.
        is_own = text == f"${{{URL_VARIABLE}}}"
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("http", "https"):
            raise ExportError(f"{_OPTION} is no address of a web server; expected https://host/path")
        if parts.username or parts.password:
            raise ExportError(
                f"{_OPTION} has a user name or password before the host, which is not sent; give a token in the path "
                "or query"
            )
        digest = sha256((url if is_own else text).encode()).hexdigest()[:12]
        return cls(url, host, f"webhook {host} {digest}", timeout, attempts, wait)


def referred(url: str) -> str:
    """Return a URL for the configuration of a run: as it is if it has variables, else a variable that it is put in."""
    if has_names(url):
        return url
    os.environ[URL_VARIABLE] = url
    return f"${{{URL_VARIABLE}}}"


def body_of(batch: Batch, may_be_sent: Sequence[bool] | None = None) -> bytes:
    """Return the body of a batch: JSON with the batch's key, and a key for each row.

    may_be_sent: of a batch that is sent again, the rows to send; all if None.
    """
    columns = batch.rows[["operation", "customer_id", "row_hash", "content"]].itertuples(index=False)
    kept = may_be_sent if may_be_sent is not None else [True] * len(batch.rows)
    rows = [
        {
            "idempotency_key": f"{batch.id}:{row_hash}",
            "operation": operation,
            "customer_id": customer,
            **json.loads(content),
        }
        for (operation, customer, row_hash, content), is_kept in zip(columns, kept, strict=True)
        if is_kept
    ]
    content = {"idempotency_key": batch.id, "as_of": f"{batch.as_of:%Y-%m-%d}", "rows": rows}
    return json.dumps(content, ensure_ascii=False).encode()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects would turn the request into one without a body."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Follow none."""


def post(hook: Webhook, key: str, body: bytes, log: Callable[[str], None]) -> None:
    """Post a batch until it is acknowledged. Raise ExportError if it is refused, or after the last attempt.

    Wait longer before each attempt. The key and the body stay the same.
    """
    opener = urllib.request.build_opener(_NoRedirects)
    for attempt in range(1, hook.attempts + 1):
        found = _attempt(opener, hook, key, body)
        if found is None:
            return
        if attempt < hook.attempts:
            wait = min(hook.wait * 2 ** (attempt - 1), _LONGEST_WAIT)
            log(f"{hook.host} did not acknowledge batch {key}: {found}; posting it again in {wait:g} s")
            time.sleep(wait)
    raise ExportError(
        f"{hook.host} did not acknowledge batch {key} in {hook.attempts} attempts (setting "
        f"CLM_ACTIONS_WEBHOOK_ATTEMPTS), the last time: {found}. What was acknowledged before is kept. Run the command "
        "again when the receiver is up: it posts the batch again with the same idempotency key"
    )


def _attempt(opener: urllib.request.OpenerDirector, hook: Webhook, key: str, body: bytes) -> str | None:
    """Post once. Return None if the batch is acknowledged, else why not. Raise ExportError if it is refused."""
    request = urllib.request.Request(
        hook.url,
        body,
        {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "clm-dagster"},
        method="POST",
    )
    try:
        with opener.open(request, timeout=hook.timeout) as answer:
            answer.read()
        return None
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ExportError(
                f"{hook.host} has a certificate that is not trusted; nothing was posted"
            ) from None
        # Not its text, which may have the URL.
        return "no answer in time" if isinstance(reason, TimeoutError) else type(reason).__name__
    if status >= 500 or status in _BUSY:
        return f"status {status}"
    raise ExportError(
        f"{hook.host} refused batch {key} with status {status}; check the URL and what the receiver accepts, then run "
        "the command again: it posts the batch again with the same idempotency key"
    )
