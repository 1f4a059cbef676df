"""Errors and log records of connectors, without secrets.

Belongs here: blocks whose messages show no secret. Does not: environment variables, which texts are secret
(`platform.secrets`), the meaning of connectors (`config`).
"""

import logging
from collections.abc import Collection
from types import TracebackType

from clm_dagster.domains.connect.errors import ConnectorError
from clm_dagster.errors import UserError
from clm_dagster.platform.secrets import hidden

_LONGEST_MESSAGE = 500


class Guarded:
    """A block whose errors and dlt log records show no secret.

    Every exception of the block becomes a ConnectorError without a cause: tracebacks of drivers hold addresses with
    passwords, and Dagster stores them. title: what was done, for the message.
    """

    def __init__(self, title: str, secrets: Collection[str]) -> None:
        self._title, self._secrets = title, secrets
        self._filter = _HidingFilter(secrets)

    def __enter__(self) -> None:
        logging.getLogger("dlt").addFilter(self._filter)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("dlt").removeFilter(self._filter)
        if isinstance(error, Exception):
            raise ConnectorError(hidden(self._message(error), self._secrets)) from None

    def _message(self, error: Exception) -> str:
        if isinstance(error, UserError):
            return str(error)
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        text = " ".join(str(root).split()) or type(root).__name__
        if isinstance(root, ModuleNotFoundError):
            text += f"; install it with: pip install {_PACKAGES.get(root.name or '', root.name)}"
        return f"{self._title}: {type(root).__name__}: {text[:_LONGEST_MESSAGE]}"


# Modules whose package has another name.
_PACKAGES = {
    "psycopg2": "psycopg2-binary",
    "psycopg": "'psycopg[binary]'",
    "MySQLdb": "mysqlclient",
    "google": "gcsfs",
}


class _HidingFilter(logging.Filter):
    """Hides secrets in log records."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message of a record. Keep the record, without a traceback."""
        record.msg, record.args = hidden(record.getMessage(), self._secrets), ()
        record.exc_info = record.exc_text = None
        return True
