"""The base class of user errors; every layer may raise them.

Belongs here: the base class. Does not: concrete errors. Each module defines its own; its message says what was
expected, what was found and what to do.
"""


class UserError(Exception):
    """A problem that the user can fix. The message says what is wrong and what to do; no traceback is needed."""


class StoppedError(UserError):
    """The user stopped a command. The message says what is kept and how to go on."""


def user_error_names() -> set[str]:
    """Return the class names of all user errors. Dagster passes errors on as text."""
    found: set[str] = set()
    waiting = [UserError]
    while waiting:
        kind = waiting.pop()
        found.add(kind.__name__)
        waiting += kind.__subclasses__()
    return found
