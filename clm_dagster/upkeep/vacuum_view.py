"""Output of `clm vacuum`: a table for the terminal, a dict for programs.

Belongs here: texts. Does not: freeing anything (`vacuum`).
"""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clm_dagster.upkeep.freed import Freed


def render(freed: Sequence[Freed], dry_run: bool) -> RenderableType:
    """Return a table with a row for each kind, and the sum."""
    table = Table("kind", "number", "MB", "kept", box=None, header_style="bold", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for each in freed:
        table.add_row(each.kind, f"{each.number:,}", f"{each.size / 1e6:,.1f}", each.kept)
    total = sum(each.size for each in freed if each.number)
    would = "would free" if dry_run else "freed"
    hint = "; nothing was changed" if dry_run else ""
    return Group(table, Text(f"\n`clm vacuum` {would} about {total / 1e6:,.1f} MB{hint}."))


def as_dict(freed: Sequence[Freed], dry_run: bool) -> dict[str, object]:
    """Return what is freed for programs."""
    rows = [{"kind": f.kind, "number": f.number, "bytes": f.size, "kept": f.kept or None} for f in freed]
    return {"dry_run": dry_run, "freed": rows}
