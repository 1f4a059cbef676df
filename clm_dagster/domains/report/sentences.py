"""Sentences that do not know their language yet: keys with values, said in any language later.

Belongs here: values that a language formats, and saying them. Does not: the sentences (`languages`), the facts.

The same values are said in all languages, and so all languages have the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from clm_dagster.domains.report.wording import Wording

# Longer names of a shop are cut in sentences.
_LONGEST = 60


@dataclass(frozen=True)
class Speech:
    """A language and the shop's currency, which may be unknown (empty)."""

    wording: Wording
    currency: str


class Piece(Protocol):
    """Part of a sentence."""

    def text(self, speech: Speech) -> str:
        """Return it in a language."""


@dataclass(frozen=True)
class Money:
    """An amount. is_signed: whether a plus is shown."""

    value: float
    is_signed: bool = False

    def text(self, speech: Speech) -> str:
        """Return it in the shop's currency."""
        currency = speech.currency or None
        if self.is_signed:
            return speech.wording.signed(self.value, "money", currency)
        return speech.wording.money(self.value, currency)


@dataclass(frozen=True)
class Count:
    """A number with a fixed count of decimals."""

    value: float
    digits: int = 0

    def text(self, speech: Speech) -> str:
        """Return it."""
        return speech.wording.number(self.value, self.digits)


@dataclass(frozen=True)
class Percent:
    """A share."""

    value: float

    def text(self, speech: Speech) -> str:
        """Return it as a percentage."""
        return speech.wording.percent(self.value)


@dataclass(frozen=True)
class Points:
    """A difference of shares, with or without its sign."""

    value: float
    is_signed: bool = True

    def text(self, speech: Speech) -> str:
        """Return it in percentage points."""
        shown = speech.wording.points(self.value)
        return shown if self.is_signed else shown.lstrip("+-")


@dataclass(frozen=True)
class Day:
    """A day."""

    value: date

    def text(self, speech: Speech) -> str:
        """Return it with its year."""
        return speech.wording.day(self.value)


@dataclass(frozen=True)
class Name:
    """A code that the languages name, such as a segment; a code of the shop's own is said as it is."""

    kind: str
    code: str

    def text(self, speech: Speech) -> str:
        """Return the name."""
        found = speech.wording.name(self.kind, self.code, "facts.names")
        return found or brief(self.code.replace("_", " "))


@dataclass(frozen=True)
class Own:
    """A text of the shop, such as the name of a product, a country or a channel."""

    value: str

    def text(self, speech: Speech) -> str:
        """Return it on one line, cut if it is long."""
        return brief(self.value)


@dataclass(frozen=True)
class Country:
    """A country: its name in the language if it is a code of two letters, else as the shop has it."""

    value: str

    def text(self, speech: Speech) -> str:
        """Return the name."""
        return speech.wording.country(self.value) or brief(self.value)


@dataclass(frozen=True)
class Listed:
    """Several pieces as a list: a, b and c."""

    parts: Sequence[Piece]

    def text(self, speech: Speech) -> str:
        """Return the list."""
        return speech.wording.listed([part.text(speech) for part in self.parts])


@dataclass(frozen=True)
class Said:
    """A sentence or a phrase. n: the number that its form depends on, shown as `shown` or as a count."""

    key: str
    values: Mapping[str, Piece] = field(default_factory=dict)
    n: float | None = None

    def text(self, speech: Speech) -> str:
        """Return it in a language."""
        values: dict[str, object] = {name: piece.text(speech) for name, piece in self.values.items()}
        if self.n is not None:
            values["n"] = self.n
        return speech.wording.say(f"facts.{self.key}", **values)


@dataclass(frozen=True)
class Joined:
    """Sentences one after another."""

    parts: Sequence[Piece]

    def text(self, speech: Speech) -> str:
        """Return them."""
        between = speech.wording.say("facts.between").replace("_", " ")
        return between.join(part.text(speech) for part in self.parts)


def brief(text: str, most: int = _LONGEST) -> str:
    """Return a text of a shop on one line without control characters, cut if it is long."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
