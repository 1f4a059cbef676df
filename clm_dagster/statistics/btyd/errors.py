"""What is wrong with histories or amounts; the message says what was found and what to do."""

from clm_dagster.errors import UserError


class HistoryError(UserError, ValueError):
    """Purchase histories, spends or durations cannot be used as they are."""


class FitError(UserError, ValueError):
    """The histories are sound, but tell too little to estimate a model."""
