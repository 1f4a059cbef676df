"""The errors of exports.

Belongs here: the error classes. Does not: anything else. No message holds an id or an address of a customer.
"""

from clm_dagster.errors import UserError


class ExportError(UserError):
    """An export cannot be made or sent. The message says why and what to do."""


class NotAllowedError(ExportError):
    """An export holds somebody who must not be contacted. Nothing of it is sent. found: how many, for the check."""

    def __init__(self, message: str, found: str) -> None:
        super().__init__(message)
        self.found = found
