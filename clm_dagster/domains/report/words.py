"""The words of the page in one language: sentences of its sections, names of codes, formatted values.

Belongs here: what every section says in the same way. Does not: sentences (`languages`), formats (`wording`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from clm_dagster.domains.report.section import Column, Kind
from clm_dagster.domains.report.wording import Wording

# Longer texts of a shop are cut in charts and sentences, and kept whole in tables.
_LONGEST = 60
_TONES = {
    "champions": "good",
    "loyal": "good",
    "potential_loyalist": "good",
    "growing": "good",
    "new": "fresh",
    "promising": "fresh",
    "reactivated": "fresh",
    "need_attention": "watch",
    "about_to_sleep": "watch",
    "at_risk": "watch",
    "cant_lose": "watch",
    "hibernating": "lost",
    "lost": "lost",
}
# What a table shows for no value.
NOTHING = "\u2013"
TONES = ("good", "fresh", "watch", "lost", "other")


def tone(code: str) -> str:
    """Return the colour group of a segment or stage."""
    return _TONES.get(code, "other")


def brief(text: object, most: int = _LONGEST) -> str:
    """Return a text of a shop on one line, cut if it is long."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


@dataclass(frozen=True)
class Words:
    """The words of one language for a shop with one currency, which may be unknown (empty)."""

    wording: Wording
    currency: str

    def __call__(self, key: str, **values: Any) -> str:
        """Return the sentence `page.<key>`."""
        return self.wording.say(f"page.{key}", **values)

    def name(self, kind: str, code: object) -> str:
        """Return the name of a code, such as a segment; a code of the shop's own is shown as it is."""
        found = self.wording.name(kind, str(code), "page")
        return found or ("" if code is None else brief(str(code).replace("_", " ")))

    def money(self, value: Any) -> str:
        """Return an amount."""
        return self.wording.money(_finite(value), self.currency or None)

    def joined(self, sentences: Sequence[str]) -> str:
        """Return sentences one after the other."""
        return self("between").replace("_", " ").join(sentences)

    def text(self, kind: Kind, value: Any) -> str:
        """Return a value as a table shows it."""
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return NOTHING
        formats = {
            "count": self.wording.number,
            "number": lambda number: self.wording.number(number, 2),
            "money": self.money,
            "percent": lambda share: self.wording.percent(share, 1),
            "points": self.wording.points,
            "day": self.wording.day,
        }
        return str(value) if kind in ("text", "id") else formats[kind](value)

    def column(self, name: str, kind: Kind = "text", codes: str | None = None) -> Column:
        """Return a column `name`, labelled `page.columns.<name>`. codes: what its codes are names of."""
        show = (lambda code: self.name(codes, code)) if codes else None
        return Column(name, self(f"columns.{name}"), kind, show)

    def columns(self, **kinds: Kind) -> list[Column]:
        """Return columns by name and kind."""
        return [self.column(name, kind) for name, kind in kinds.items()]


def _finite(value: Any) -> Any:
    return value if value is not None and math.isfinite(value) else None


def plain(value: Any) -> Any:
    """Return a value as JSON and CSV have it: numbers as numbers, days as ISO dates, nothing for what is no number."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value


def number(value: Any) -> float:
    """Return a number as a float, 0 for none."""
    found = plain(value)
    return float(found) if isinstance(found, int | float) else 0.0


def by_segment(rows: Sequence[Mapping[str, Any]], sentence: Callable[[Sequence[Any]], str]) -> dict[str, str]:
    """Return a sentence for each segment, made from its rows, which keep their order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row["segment"]), []).append(row)
    return {segment: sentence(own) for segment, own in groups.items()}


def table_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[list[Any]]:
    """Return the values of rows in the order of columns."""
    return [[row[column.name] for column in columns] for row in rows]
