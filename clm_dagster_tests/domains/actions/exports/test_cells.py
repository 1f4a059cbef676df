"""Cells that a spreadsheet would run."""

import csv
import io

import pytest

from clm_dagster.domains.actions.exports.cells import csv_text, harmless, is_formula

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    '="000123"',
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\u00a0=1+1",
    "\ufeff=1+1",
    "\u200b=1+1",
    '"=1+1"',
    "'=1+1",
    "\u201c=1+1",
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20SUM(A1)",
    "\u22121+1",
    "\ufe66cmd|' /C calc'!A1",
    "\x00=1+1",
    "=cmd|' /C calc'!A1",
    '=HYPERLINK("https://x.example","click")',
]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text(text: str) -> None:
    assert is_formula(text)
    found = harmless(text)
    assert found.startswith("'") and not set("\t\r\n\x00") & set(found)


@pytest.mark.parametrize("text", ["", "mug", "a=b", "5", "-5", "+491234", "-1.5e-3", "1-2", "c@d", "'", '"'])
def test_other_cells_stay(text: str) -> None:
    assert harmless(text) == text


def test_every_cell_is_quoted_and_read_back() -> None:
    text = csv_text(["a", "b"], [['x;=1+1,"y"', 2.5], [None, "=z"]])
    assert text == '"a","b"\n"x;=1+1,""y""","2.5"\n"","\'=z"\n'
    assert list(csv.reader(io.StringIO(text)))[1] == ['x;=1+1,"y"', "2.5"]
