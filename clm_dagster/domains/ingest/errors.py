"""What is wrong with a delivery as a whole. A single bad row is no error: it goes to raw.rejects."""

from clm_dagster.errors import UserError


class InputError(UserError, ValueError):
    """A file or an adapter cannot be used; the message says which, what was found and expected."""
