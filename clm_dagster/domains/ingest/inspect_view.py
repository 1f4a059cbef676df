"""What `clm inspect` prints.

Belongs here: layout in the terminal. Does not: what is found (`inspecting`), drafts (`drafting`).
"""

import shlex
from pathlib import Path

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from clm_dagster.domains.ingest.drafting import Draft
from clm_dagster.domains.ingest.inspecting import Inspection
from clm_dagster.domains.ingest.presets import Preset
from clm_dagster.settings import Settings

# More columns do not fit beside each other.
_WIDE = 8


def render(found: Inspection, draft: Draft, show_draft: bool) -> RenderableType:
    """Return an inspection for the terminal. show_draft: whether to print the adapter."""
    decided = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.decided.items())
    head = Text.assemble((f"{found.path}\n", "bold"), f"{found.rows:,} rows; {decided or 'Parquet'}\n")
    if found.preset:
        head.append(f"Looks like: {found.preset.title} ({found.preset.name}); {found.preset.document}\n")
    columns = Table(
        "column", "type", "written", "empty", "distinct", "values", "look at", box=None, pad_edge=False
    )
    for column in found.columns:
        columns.add_row(
            Text(column.name),
            column.kind,
            column.style,
            f"{column.nulls:,}",
            f"{column.distinct:,}",
            Text(" .. ".join(column.examples)),
            Text("; ".join(column.remarks)),
        )
    first = Table(title="First rows as they will be read", box=None, pad_edge=False)
    for column in found.columns[:_WIDE]:
        first.add_column(Text(column.name))
    for row in found.first_rows:
        first.add_row(*(Text(str(value or "")[:30]) for value in row[:_WIDE]))
    parts: list[RenderableType] = [head, columns, Text(""), first]
    if show_draft:
        parts.append(Text("\nDraft of adapter.yml and events.sql (--write-adapter NAME writes them)", "bold"))
        parts += [Syntax(draft.yaml, "yaml"), Syntax(draft.sql, "sql")]
    if draft.missing:
        parts.append(Text(f"\nNot found, to be filled in by hand: {', '.join(draft.missing)}"))
    return Group(*parts)


def next_steps(path: Path, preset: Preset, settings: Settings) -> str:
    """Return the commands that load a recognised export, for a person to type."""
    name = path.name if preset.matches(path.name) else f"{Path(preset.file).stem}{path.suffix}"
    inbox = Path(settings.input)
    source = preset.source
    lines = [f"The source {source} reads this file. Put all its files into one folder, and run it:", ""]
    if preset.is_included:
        source = settings.source
        lines = [
            f"It adds to sources with `include: [{preset.source}]` in their adapter.yml. Put it beside the orders:",
            "",
        ]
    if name != path.name or not path.resolve().is_relative_to(inbox.resolve()):
        lines.append(f"  mkdir -p {shlex.quote(str(inbox))}")
        lines.append(f"  cp {shlex.quote(str(path))} {shlex.quote(str(inbox / name))}")
    lines += [f"  export CLM_SOURCE={source} CLM_TIMEZONE={settings.timezone}", "  clm run", ""]
    lines.append(
        "CLM_TIMEZONE is the time zone of the shop, such as Europe/Berlin; it decides on the day of an order."
    )
    if name != path.name:
        lines.append(f"The file gets another name because the source reads {', '.join(preset.patterns)}.")
    return "\n".join(lines)
