"""A problem of a shop, and what was found at one time.

Belongs here: the types. Does not: finding problems (`collecting`), remembering them (`memory`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

WARNING, ERROR = "warning", "error"
LEVELS = (WARNING, ERROR)
FAILED_RUN, FAILED_CHECK, STALE = "failed_run", "failed_check", "stale"


def is_at_least(level: str, lowest: str) -> bool:
    """Whether a severity is at least another one."""
    return LEVELS.index(level) >= LEVELS.index(lowest)


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    key: the same as long as it is the same problem. origin: the run that it comes from; empty where there is none.
    since: since when it is wrong. action: what to do. path: its page in the UI. fields: further details by name, for
    programs. No field holds a row or an id of a customer.
    """

    key: str
    kind: str
    level: str
    title: str
    detail: str
    since: datetime
    action: str
    path: str
    origin: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def occurrence(self) -> str:
        """The problem as its origin showed it."""
        return f"{self.key} {self.origin}"


@dataclass(frozen=True)
class Findings:
    """What was found at one time.

    open: what is wrong now. over: what went wrong since the last look and is right again by now, with the time of that.
    """

    open: Sequence[Problem] = ()
    over: Sequence[tuple[Problem, datetime]] = ()
