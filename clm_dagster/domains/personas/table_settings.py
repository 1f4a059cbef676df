"""Settings that the persona tables receive. Their values are part of the version of a table.

Belongs here: settings of a training. Does not belong here: users' settings (`settings`), from which `tables` derives
these.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training. customers: maximum number of customers to read. setting: the variable that sets it."""

    customers: int
    setting: str
