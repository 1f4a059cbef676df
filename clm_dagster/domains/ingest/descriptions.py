"""What the Dagster UI says about an adapter: its rules, its reasons to reject and to skip a row.

Belongs here: text in markdown. Does not: the assets that show it (`assets`).
"""

import json
from collections.abc import Sequence
from typing import Any

from clm_dagster.domains.ingest.inbox import FileRow
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.source import ShopSource
from clm_dagster.platform.markdown import markdown_table

_SHOWN_FILES = 100


def rules_text(source: ShopSource, table: str) -> str:
    """Return the adapter's rules and the reject reasons as markdown for the UI."""
    if table not in source.adapter.tables:
        return f"The source `{source.adapter.name}` does not provide {table}."
    feeds = source.adapter.tables[table]
    lines = [f"**Rules of the source `{source.adapter.name}`**", ""]
    for feed in feeds:
        lines += [f"- {rule}" for rule in feed.rules]
    if len(feeds) > 1:
        lines += ["", f"Feeds: {', '.join(f'`{feed.name}`' for feed in feeds)}"]
    lines += ["", "**Reasons for rejection; rejected rows are in raw.rejects**", ""]
    lines += [f"- `{reason}`: {text}" for reason, text in source.adapter.reasons(table).items()]
    skips = [f"- `{reason}` (feed `{f.name}`): {text}" for f in feeds for reason, text in f.skips.items()]
    if skips:
        lines += ["", "**Reasons for which a feed skips rows; counted in raw.skips**", "", *skips]
    return "\n".join(lines)


def skips_text(source: ShopSource, rows: Sequence[tuple[Any, ...]]) -> str:
    """Return the skipped rows by feed and reason as markdown."""
    described = {
        (feed.name, reason): text
        for feed in source.adapter.feeds.values()
        for reason, text in feed.skips.items()
    }
    lines = [(t, f, r, f"{n:,}", described.get((f, r), "")) for t, f, r, n in rows]
    return markdown_table(("table", "feed", "reason", "rows", "meaning"), lines)


def deliveries_table(deliveries: Sequence[Delivery]) -> str:
    """Return new deliveries with their rows and feeds, as markdown."""
    rows = [(d.path, d.delivery_id, f"{d.rows:,}", ", ".join(d.tables)) for d in deliveries[:_SHOWN_FILES]]
    return markdown_table(("file", "delivery", "rows", "feeds"), rows)


def files_table(rows: Sequence[FileRow]) -> str:
    """Return what was decided about each file, as markdown."""
    shown = []
    for row in rows[:_SHOWN_FILES]:
        decided = ", ".join(f"{name} {value}" for name, value in json.loads(row.decided).items())
        shown.append((row.source_file, row.contract_tables or row.status, decided, "; ".join(row.remarks)))
    table = markdown_table(("file", "read as", "decided", "remarks"), shown)
    if len(rows) <= _SHOWN_FILES:
        return table
    return f"{table}\n\n{len(rows) - _SHOWN_FILES:,} further files are in raw.files."
