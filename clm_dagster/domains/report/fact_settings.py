"""Settings that the table of facts receives. Their values are part of its version.

Belongs here: what facts depend on. Does not: users' settings (`settings`), from which `tables` derives these.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FactSettings:
    """What facts depend on. currency: the setting of the shop. languages: codes. wording: a hash of all sentences."""

    currency: str
    languages: tuple[str, ...]
    wording: str
