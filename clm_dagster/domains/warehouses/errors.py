"""The errors of publishing to a warehouse.

Belongs here: the error class, and drivers' errors as one without secrets. Does not: which texts are secret
(`platform.secrets`).
"""

from collections.abc import Collection
from types import TracebackType

from clm_dagster.errors import UserError
from clm_dagster.platform.secrets import hidden

_LONGEST_MESSAGE = 500


class PublishError(UserError):
    """Tables cannot be published. The message names the destination, what was found, and what to do."""


class Guarded:
    """A block whose errors show no secret.

    Every exception of the block becomes a PublishError without a cause: tracebacks of drivers hold addresses with
    passwords, and Dagster stores them. title: the destination, for the message.
    """

    def __init__(self, title: str, secrets: Collection[str]) -> None:
        self._title, self._secrets = title, secrets

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            raise PublishError(hidden(self._message(error), self._secrets)) from None

    def _message(self, error: Exception) -> str:
        if isinstance(error, UserError):
            return str(error)
        text = " ".join(str(error).split())[:_LONGEST_MESSAGE]
        return (
            f"publishing to {self._title} failed: {type(error).__name__}: {text}. The table that it failed at is there "
            "as it was before; the next publication sends what is missing"
        )
