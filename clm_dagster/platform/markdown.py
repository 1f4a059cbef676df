"""Markdown for asset metadata.

Belongs here: the layout of a table. Does not: its contents (the domains), figures (`charts`).
"""

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table. rows: one value per column, shown as `str` shows it."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)
