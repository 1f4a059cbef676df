"""The table raw.files: every file of the input, whether it was read, and how it is written.

Belongs here: the rows of that table, and its remarks for people. Does not: counts of rows (raw.deliveries), landing.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

import pandas as pd

from clm_dagster.domains.ingest.landing import Delivery, Landing
from clm_dagster.platform.warehouse import Connection, Warehouse

FILES = "raw.files"
READ, IGNORED = "read", "ignored"
_TYPES = {
    **dict.fromkeys(("source_file", "status", "reason", "delivery_id", "contract_tables"), "varchar"),
    **dict.fromkeys(("encoding", "delimiter"), "varchar"),
    **dict.fromkeys(("decided", "styles", "renamed", "resembling"), "json"),
    "remarks": "varchar[]",
}
_COLUMNS = ", ".join(f"{name} {kind}" for name, kind in _TYPES.items())


@dataclass(frozen=True)
class FileRow:
    """One file of the input.

    decided, styles, renamed, resembling: JSON objects, see `landing` and `parquet_writer`. remarks: what a
    person should know: not read, columns renamed, columns that may be meant otherwise, styles.
    """

    source_file: str
    status: str
    reason: str | None = None
    delivery_id: str | None = None
    contract_tables: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decided: str = "{}"
    styles: str = "{}"
    renamed: str = "{}"
    resembling: str = "{}"
    remarks: list[str] = field(default_factory=list)


def file_rows(landing: Landing) -> list[FileRow]:
    """Return the files that the last landing run saw."""
    inbox = landing.inbox()
    deliveries = {delivery.delivery_id: delivery for delivery in landing.deliveries()}
    read = [_read_row(path, deliveries[name]) for path, name in inbox["read"].items() if name in deliveries]
    ignored = [
        FileRow(path, IGNORED, reason, remarks=[f"not read: {reason}"])
        for path, reason in inbox["skipped"].items()
    ]
    joined = [FileRow(path, READ, f"joined as delivery('{name}')") for path, name in inbox["joined"].items()]
    return sorted([*read, *joined, *ignored], key=lambda row: row.source_file)


def create_files(connection: Connection) -> None:
    """Create the table if it is missing."""
    connection.execute(f"create table if not exists {FILES} ({_COLUMNS})")


def write_files(connection: Connection, rows: Sequence[FileRow]) -> None:
    """Replace the rows of the table. Call this inside a transaction."""
    # At once: an inbox may have thousands of files.
    frame = pd.DataFrame([astuple(row) for row in rows], columns=list(_TYPES), dtype=object)
    connection.replace_with_frame(FILES, frame, _TYPES, "true")


def stored_files(connection: Connection) -> list[FileRow]:
    """Return the rows of the table; none if there is no table yet."""
    if connection.relation_kind(FILES) is None:
        return []
    return [FileRow(*row) for row in connection.execute(f"select * from {FILES} order by source_file")]


def update_files(warehouse: Warehouse, landing: Landing) -> None:
    """Bring the table up to date with the last landing run; write nothing if it is, or if there is no warehouse."""
    rows = file_rows(landing)
    with warehouse.connect_read_only("files") as connection:
        if connection is None or stored_files(connection) == rows:
            return
    with warehouse.connect(FILES) as connection:
        connection.run_transaction(lambda: write_files(connection, rows), FILES)


def _read_row(path: str, delivery: Delivery) -> FileRow:
    tables = list(delivery.tables.values())
    renamed = {name: given for table in tables for name, given in table.renamed.items()}
    styles = {name: style for table in tables for name, style in table.styles.items()}
    # A column that one table does not know may be one that another table reads.
    resembling = {
        given: name
        for table in tables
        for given, name in table.resembling.items()
        if given not in renamed.values()
    }
    remarks = [f"column {given!r} is read as {name}" for name, given in renamed.items()]
    remarks += [f"unknown column {given!r} resembles {name}" for given, name in resembling.items()]
    remarks += [f"column {name!r} is written {style}" for name, style in styles.items()]
    remarks += dict.fromkeys(note for table in tables for note in table.notes)
    if "encoding_note" in delivery.decided:
        remarks.append(delivery.decided["encoding_note"])
    if "sheets_not_read" in delivery.decided:
        remarks.append(f"sheets that are not read: {delivery.decided['sheets_not_read']}")
    decided, changed, alike, styled = (
        json.dumps(values, ensure_ascii=False) for values in (delivery.decided, renamed, resembling, styles)
    )
    return FileRow(
        path,
        READ,
        None,
        delivery.delivery_id,
        ", ".join(sorted({feed.table for feed in tables})),
        delivery.decided.get("encoding"),
        delivery.decided.get("delimiter"),
        decided,
        styled,
        changed,
        alike,
        remarks,
    )
