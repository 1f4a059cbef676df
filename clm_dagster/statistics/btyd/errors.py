"""Errors of the purchase models. Messages say what was found and what to do.

Belongs here: the exception classes. Does not: the checks that raise them.
"""

from clm_dagster.errors import UserError


class HistoryError(UserError, ValueError):
    """Purchase histories, spends or durations are invalid."""


class FitError(UserError, ValueError):
    """The histories are valid but do not contain enough information to estimate a model."""
