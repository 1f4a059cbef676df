"""The one kind of error that a person can mend; every layer may raise it.

Belongs here: the base class. Does not: what is wrong (each module has its own error, whose message says what was
expected, what was found and what to do).
"""


class UserError(Exception):
    """Something that a person can mend: the message says what is wrong and what to do, and needs no traceback."""


def user_error_names() -> set[str]:
    """The names of all classes of such errors: Dagster hands an error on as text."""
    found: set[str] = set()
    waiting = [UserError]
    while waiting:
        kind = waiting.pop()
        found.add(kind.__name__)
        waiting += kind.__subclasses__()
    return found
