"""Errors of a whole delivery. An invalid row is not an error: it goes to raw.rejects."""

from clm_dagster.errors import UserError


class InputError(UserError, ValueError):
    """A file or an adapter cannot be used. The message names it, what was expected and what was found."""
