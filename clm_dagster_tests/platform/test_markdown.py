"""Names of a shop in Markdown: shown as they are, and nothing in them is live."""

import html
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from clm_dagster.platform.markdown import Markdown, bold, escape, markdown_list, markdown_table

HOSTILE = [
    "[x](http://e.vil)",
    "![t](http://127.0.0.1/x) <b>x</b> | y",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "[a](javascript:alert(1))",
    "<http://e.vil>",
    "http://e.vil and www.e.vil, WWW.e.vil and a@e.vil",
    "[x]: http://e.vil",
    "`code` ``x`` ```y```",
    "*a* **b** _c_ __d__ ~~e~~",
    "a_b_c and _x",
    "$x$ $$y$$",
    "\\| \\\\| \\[x](y) \\",
    "&lt;b&gt; &#60;b&#62; &copy;",
    "# no heading",
    "> no quote",
    "- no list",
    "+ no list",
    "12. no list",
    "---",
    "=",
    "|",
    "WHITE HANGING HEART T-LIGHT HOLDER",
]
# What a text and a table consist of; everything else is live.
PLAIN = {"text", "inline", "softbreak", "paragraph_open", "paragraph_close"} | {
    f"{name}_{end}"
    for name in ("table", "thead", "tbody", "tr", "th", "td", "bullet_list", "list_item")
    for end in ("open", "close")
}


def parsed(text: str) -> list[Token]:
    """The tokens of a Markdown text, those within a line included; HTML would be live."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return [part for token in reader.parse(text) for part in (token, *(token.children or []))]


def shown(tokens: list[Token], between: str) -> list[str]:
    """The texts that a reader sees in the elements of a kind, without the characters that have no width."""
    found = []
    for before, token in pairwise(tokens):
        if before.type == f"{between}_open" and token.type == "inline":
            text = "".join(part.content for part in token.children or [])
            found.append(text)
    return [text.replace("\u2060", "") for text in found]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_in_a_table_or_a_list_is_text(name: str) -> None:
    table = parsed(markdown_table((name, "n"), [(name, 1), ("next", 2)]))
    assert {token.type for token in table} <= PLAIN
    assert shown(table, "th") == [name, "n"]
    assert shown(table, "td") == [name, "1", "next", "2"]
    listed = parsed(markdown_list([name, name]))
    assert {token.type for token in listed} <= PLAIN
    assert shown(listed, "paragraph") == [name, name]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_dialect_makes_a_link_of_an_address(name: str) -> None:
    """Dialects look for these in the text that is left once everything is unescaped."""
    text = html.unescape(escape(name)).lower()
    assert not any(start in text for start in ("://", "www."))
    assert "@" not in text.replace("\u2060@", "")


def test_a_line_break_does_not_end_a_row() -> None:
    assert escape("a\r\nb\u2028c\td\x00e") == "a b c d e"
    assert markdown_table(("a\nb",), [("c\n\n# d",)]).count("\n") == 2


def test_what_is_markdown_already_is_left() -> None:
    assert bold("a*b") == "**a&#42;b**"
    table = parsed(markdown_table(("method",), [(bold("<b>"),), (Markdown("*x*"),)]))
    assert [token.type for token in table if token.type.endswith("_open") and token.type not in PLAIN] == [
        "strong_open",
        "em_open",
    ]
    assert shown(table, "td") == ["<b>", "x"]


def test_numbers_and_names_of_columns_stay_readable() -> None:
    assert markdown_table(("customer_id", "share"), [(1.5, "0.53 (0.50-0.55)")]) == (
        "| customer_id | share |\n|---|---|\n| 1.5 | 0.53 (0.50-0.55) |"
    )
