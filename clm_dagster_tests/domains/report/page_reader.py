"""What a page says, read out of its HTML with Python's own parser."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class Cell:
    """A cell: its text, its value where it differs, whether it is a number."""

    text: str = ""
    value: str | None = None
    is_number: bool = False

    @property
    def content(self) -> str:
        """The value, as CSV has it."""
        return self.text if self.value is None else self.value


@dataclass
class ReadPage(HTMLParser):
    """Tables by language and name, tiles by language and name, scripts, links, ids, text of each language."""

    tables: dict[tuple[str, str], list[dict[str, Cell]]] = field(default_factory=dict)
    tiles: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    policy: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._language, self._name, self._tag, self._tile = "", "", "", ""
        self._columns: list[str] = []
        self._row: list[Cell] = []

    @classmethod
    def of(cls, html: str) -> "ReadPage":
        """Read a page."""
        page = cls()
        page.feed(html)
        page.close()
        return page

    @property
    def data(self) -> dict[str, Any]:
        """The JSON of the charts."""
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._tag = tag
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [
            given[name] for name in ("src", "srcset", "action", "data", "poster") if name in given
        ]
        self._language = given.get("data-language", self._language)
        if tag == "script":
            self.scripts.append("")
        elif tag == "table":
            self._name, self._columns = given["data-name"], []
            self.tables[self._language, self._name] = []
        elif tag == "th":
            self._columns.append(given["data-column"])
        elif tag == "td":
            is_number = given.get("class") == "number"
            self._row.append(Cell(value=given.get("data-value"), is_number=is_number))
        elif tag == "data":
            self._tile = given["data-tile"]
            self.tiles[self._language, self._tile] = (given["value"], "")
        elif given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self._row:
            self.tables[self._language, self._name].append(dict(zip(self._columns, self._row, strict=True)))
            self._row = []
        elif tag == "data":
            self._tile = ""
        self._tag = ""

    def handle_data(self, text: str) -> None:
        if self._tag == "script":
            self.scripts[-1] += text
        elif self._row:
            self._row[-1].text += text
        elif self._tile:
            value, shown = self.tiles[self._language, self._tile]
            self.tiles[self._language, self._tile] = (value, shown + text)
        elif self._tag != "style" and self._language and text.strip():
            self.texts.setdefault(self._language, []).append(text.strip())
