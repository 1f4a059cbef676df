"""The page: one HTML file of all sections in all languages, with its script, style and chart library inside.

Belongs here: rendering, and what keeps a shop's texts from being code. Does not: what sections say (`sections`), layout
and behaviour (`templates`), where pages are written (`writing`).

The file loads nothing. Its content security policy allows its own scripts, by their hashes, and no request at all.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jinja2

from clm_dagster.domains.report.chart_locale import chart_locale
from clm_dagster.domains.report.reading import PageReading
from clm_dagster.domains.report.section import Figure, Section, Table, Tile
from clm_dagster.domains.report.sections import SECTIONS
from clm_dagster.domains.report.wording import Wording, languages
from clm_dagster.domains.report.words import Words, plain

FOLDER = Path(__file__).parent
# Unchanged files of the npm packages vega and vega-lite; the decision `report-charts` says how they were made.
LIBRARIES = ("vega.min.js", "vega-lite.min.js")
# What a script element could be ended by, or read as code by older parsers.
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_SPARK_WIDTH, _SPARK_HEIGHT = 120, 32


@dataclass(frozen=True)
class Translation:
    """The sections of the page in one language, for the template."""

    words: Words
    sections: Sequence[Section]
    choices: Sequence[tuple[str, str]]

    @property
    def code(self) -> str:
        """The language."""
        return self.words.wording.language

    @property
    def direction(self) -> str:
        """How it is written: ltr or rtl."""
        return self.words.wording.say("format.direction")

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the script needs in this language: specifications of charts by the name of their figure, formats."""
        figures = [figure for section in self.sections for figure in section.figures]
        return {
            "locale": chart_locale(self.words.wording),
            "charts": {
                figure.name: {"spec": figure.spec, "height": figure.height}
                for figure in figures
                if figure.spec
            },
            "segments": {
                figure.name: figure.segment_sentences
                for figure in figures
                if figure.table.segment is not None
            },
        }

    @cached_property
    def anchors(self) -> set[str]:
        """The names of sections and figures, to which a sentence can point."""
        figures = {figure.name for section in self.sections for figure in section.figures}
        return {section.anchor for section in self.sections} | figures

    def name(self, figure: Figure) -> str:
        """Return the id of a figure, unique on the page."""
        return f"{self.code}-{figure.name}"

    def cells(self, table: Table) -> list[list[dict[str, Any]]]:
        """Return what the template writes for each cell: the text, and the value where it is a number or a day."""
        rows = []
        for row in table.rows:
            cells = []
            for column, value in zip(table.columns, row, strict=True):
                shown = column.show(value) if column.show else self.words.text(column.kind, value)
                cells.append({"text": shown, "value": plain(value), "is_text": column.kind in ("text", "id")})
            rows.append(cells)
        return rows

    def segments(self, table: Table) -> list[str] | None:
        """Return the segment of each row; None for a table that does not follow the choice of a segment."""
        if table.segment is None:
            return None
        place = [column.name for column in table.columns].index(table.segment)
        return [str(row[place]) for row in table.rows]


def render_page(reading: PageReading, first: str) -> str:
    """Return the page. first: the language in which it opens."""
    codes = [first, *(code for code in languages() if code != first)]
    translations = [_translate(reading, Wording.of(code)) for code in codes]
    scripts = {name: _text(f"vega/{name}") for name in LIBRARIES}
    scripts["page"] = _text("templates/page.js")
    data = json_in_script({translation.code: translation.data for translation in translations})
    policy = " ".join(_source(script) for script in scripts.values())
    return _template().render(
        translations=translations,
        reading=reading,
        style=_text("templates/page.css"),
        scripts=list(scripts.values()),
        licences=[_text(f"vega/{name.removesuffix('.min.js')}.LICENSE.txt") for name in LIBRARIES],
        data=data,
        policy=policy,
    )


def _translate(reading: PageReading, wording: Wording) -> Translation:
    words = Words(wording, reading.currency)
    sections = [found for found in (build(reading, words) for build in SECTIONS) if found is not None]
    return Translation(words, sections, _choices(words, sections))


def _choices(words: Words, sections: Sequence[Section]) -> list[tuple[str, str]]:
    """Return the segments that can be chosen: those of tables that follow the choice."""
    found: dict[str, None] = {}
    for section in sections:
        for figure in section.figures:
            if figure.table.segment is not None:
                place = [column.name for column in figure.table.columns].index(figure.table.segment)
                found |= {str(row[place]): None for row in figure.table.rows}
    return [(code, words.name("segment", code)) for code in found]


def json_in_script(content: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the script element it stands in, whatever its texts are."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign, escaped in _ESCAPED.items():
        text = text.replace(sign, escaped)
    # Half a surrogate pair, which a broken source may have, is no text that a file can hold.
    return text.encode("utf-8", "replace").decode()


def spark(history: Iterable[float]) -> str:
    """Return the points of a small line chart for SVG; empty for fewer than two values."""
    values = list(history)
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = high - low or 1.0
    step = _SPARK_WIDTH / (len(values) - 1)
    height = _SPARK_HEIGHT - 4
    return " ".join(
        f"{number * step:.1f},{2 + height - (value - low) / span * height:.1f}"
        for number, value in enumerate(values)
    )


def has_history(tile: Tile) -> bool:
    """Whether a tile has a line to draw."""
    return len(tile.history) > 1


def _source(script: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}'"


@lru_cache
def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@lru_cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["spark"] = spark
    return environment.get_template("page.html.j2")
