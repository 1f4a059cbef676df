"""Markdown for asset metadata.

Belongs here: the layout of a table, and showing a text as it is. Does not: the contents (the domains), figures
(`charts`).

Names, ids and texts of a shop may contain anything. What is not marked as `Markdown` is shown as text: no link, image
or tag in it is live.
"""

import re
from collections.abc import Iterable, Sequence


class Markdown(str):
    """Text that is Markdown already. It is shown as Markdown, so nothing of a shop may stand in it unescaped."""

    __slots__ = ()


# Blanks of every kind, and control characters: a line break would end a row.
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
# Characters that begin something in Markdown, HTML or TeX. An underscore within a word does not.
_LIVE = re.compile(r"[&<>\[\]|`*~$#\\]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# What begins a list or underlines a heading at the start of a line.
_LEADING = re.compile(r"^[-+=](?=[-=\s]*$|\s)|^\d(?=\d*[.)](\s|$))")
# Texts that GitHub's Markdown turns into links on its own, whatever is escaped.
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=[wW]{3})(?=\.)|(?=@)")
_WORD_JOINER = "\u2060"  # has no width, and is no part of an address


def escape(text: object) -> str:
    """Return a value as one line of Markdown that is shown as `str` shows it.

    Special characters become character references, which every dialect reads. An address is interrupted by a character
    without width, since some dialects make a link of every address.

    >>> escape("[mug](http://a.example) | <b>")
    '&#91;mug&#93;(http:\\u2060//a.example) &#124; &#60;b&#62;'
    """
    line = _BLANKS.sub(" ", str(text)).strip()
    line = _LINKS.sub(_WORD_JOINER, line)
    return _LEADING.sub(_reference, _LIVE.sub(_reference, line))


def _reference(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def bold(text: object) -> Markdown:
    """Return a value as bold text."""
    return Markdown(f"**{escape(text)}**")


def link(label: object, target: str) -> Markdown:
    """Return a link in bold. target: an address of this project, not of a shop's data."""
    return Markdown(f"**[{escape(label)}]({target})**")


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table. rows: one value per column, shown as `str` shows it, or `Markdown`."""
    lines = [_row(columns), "|---" * len(columns) + "|"]
    return "\n".join([*lines, *map(_row, rows)])


def markdown_list(items: Iterable[object]) -> str:
    """Return a Markdown list. items: shown as `str` shows them, or `Markdown`."""
    return "\n".join(f"- {_cell(item)}" for item in items)


def _row(values: Sequence[object]) -> str:
    return f"| {' | '.join(map(_cell, values))} |"


def _cell(value: object) -> str:
    return value if isinstance(value, Markdown) else escape(value)
