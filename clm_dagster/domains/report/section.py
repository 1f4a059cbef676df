"""What a section of the page consists of.

Belongs here: the shapes that a section returns. Does not: their contents (`sections`), HTML (`page`).

A section is a module in `sections` with one function, `section(reading, words) -> Section | None`: None where the shop
has nothing to show. Every text in it is plain text; the page escapes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "id", "count", "number", "money", "percent", "points", "day"]
# A Vega-Lite specification with its data.
Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    name: in the CSV file. label: what the page shows. kind: how values are formatted. show: the text of a value; the
    CSV file has the value itself.
    """

    name: str
    label: str
    kind: Kind = "text"
    show: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class Table:
    """A table behind a chart.

    segment: the name of the column that the choice of a segment filters, if any. most: rows that are shown at a
    time, of all segments or of the chosen one; None for all.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    segment: str | None = None
    most: int | None = None


@dataclass(frozen=True)
class Figure:
    """A chart with its table, or a table alone.

    name: unique on the page, also the name of the CSV file. sentence: what it shows, made from its data. spec: None
    for a table alone. height: of the chart in pixels. note: how to read it. is_folded: whether a table alone is opened
    by the reader, as one behind a chart is. segment_sentences: of a figure that follows the choice of a segment.
    """

    name: str
    title: str
    sentence: str
    table: Table
    spec: Spec | None = None
    height: int = 280
    note: str = ""
    is_folded: bool = False
    segment_sentences: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A change of a tile. text: with its sign and what it is compared with. is_good: None for neither."""

    text: str
    is_good: bool | None = None


@dataclass(frozen=True)
class Tile:
    """A headline number. value: as it is; shown: as it is read. history: older values, oldest first."""

    name: str
    label: str
    value: float | None
    shown: str
    changes: Sequence[Change] = ()
    history: Sequence[float] = ()
    band: str = ""


@dataclass(frozen=True)
class Bar:
    """A line of a card: a measure beside that of everybody. low to high is the range of its scale."""

    label: str
    shown: str
    value: float
    typical: float
    typical_shown: str


@dataclass(frozen=True)
class Card:
    """A group of customers in a few words."""

    title: str
    facts: Sequence[str]
    bars: Sequence[Bar] = ()
    code: str = ""


@dataclass(frozen=True)
class Point:
    """A sentence of a list, with the figure or section that shows it. is_alert: whether something is wrong."""

    text: str
    anchor: str = ""
    detail: str = ""
    is_alert: bool = False


@dataclass(frozen=True)
class Points:
    """A list of sentences with a heading."""

    title: str
    points: Sequence[Point]
    is_numbered: bool = False
    empty: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page. anchor: unique on the page."""

    anchor: str
    title: str
    lead: str = ""
    lists: Sequence[Points] = ()
    tiles: Sequence[Tile] = ()
    cards: Sequence[Card] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Page:
    """All sections in one language."""

    language: str
    sections: Sequence[Section] = field(default_factory=list)
