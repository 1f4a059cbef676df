"""The files of a batch, in the column names of each tool.

Belongs here: columns and files of each destination, and writing them. Does not: which rows are in a batch (`ledger`),
requests (`webhook`).

Klaviyo: a list import has `Email` first; `External ID` is the shop's id; other columns are properties. Mailchimp:
`Email Address`, and `Tags` separated by commas. Meta: `email` (hashed) and `extern_id`. Google: `Email` (hashed).
Both have an audience for each play, so they get a file for each play.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb

from clm_dagster.domains.actions.exports.addresses import hashed
from clm_dagster.domains.actions.exports.cells import csv_text
from clm_dagster.domains.actions.exports.destinations import Address, Destination
from clm_dagster.domains.actions.exports.ledger import ADD, REMOVE, Batch
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection
from clm_dagster.storage import write_atomically

if TYPE_CHECKING:
    import pandas as pd

_PREFIX = "actions"
# Mailchimp's limits: bytes of a text field, characters of a tag.
_MAX_TEXT, _MAX_TAG = 255, 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_PARQUET = {
    "operation": "varchar",
    "as_of": "timestamp",
    "customer_id": "varchar",
    "action": "varchar",
    "play": "varchar",
    "channel": "varchar",
    "expected_cost": "double",
    "expected_gain": "double",
    "products": "varchar[]",
    "reason": "varchar",
}


@dataclass(frozen=True)
class Row:
    """A row of a batch. identifier: the address or its hash, as the destination needs it; None without one."""

    operation: str
    customer_id: str
    play: str
    old_play: str | None
    content: Mapping[str, Any]
    identifier: str | None

    @property
    def is_removed(self) -> bool:
        """Whether the customer is taken off."""
        return self.operation == REMOVE


def identifiers(
    destination: Destination, rows: "pd.DataFrame", addresses: Mapping[str, str] | None
) -> list[str | None]:
    """Return the address or hash of each row, None for a customer without one."""
    known = addresses or {}
    if destination.address is Address.HASHED:
        is_google = destination.name == "google"
        return [
            hashed(customer, own if isinstance(own, str) else None, known, is_google)
            for customer, own in zip(rows["customer_id"], rows["email_hash"], strict=True)
        ]
    if destination.address is Address.ID:
        return [None] * len(rows)
    return [known.get(customer) for customer in rows["customer_id"]]


def can_be_sent(destination: Destination, rows: "pd.DataFrame", found: Sequence[str | None]) -> list[bool]:
    """Return which rows the destination can match with a customer."""
    if destination.address is Address.ID:
        return [True] * len(rows)
    # Klaviyo and Meta take customers off by the shop's id.
    by_id = destination.name in ("klaviyo", "meta")
    return [
        identifier is not None or (by_id and operation == REMOVE)
        for identifier, operation in zip(found, rows["operation"], strict=True)
    ]


def write_files(
    destination: Destination, batch: Batch, found: Sequence[str | None], folder: Path
) -> list[str]:
    """Write the files of a batch, each whole or not at all. Return their names."""
    values = batch.rows[["operation", "customer_id", "play", "old_play", "content"]].itertuples(index=False)
    rows = [
        Row(
            operation,
            customer,
            play,
            old if isinstance(old, str) else None,
            json.loads(content),
            identifier,
        )
        for (operation, customer, play, old, content), identifier in zip(values, found, strict=True)
    ]
    if destination.name == "parquet":
        return [_write_parquet(rows, batch, folder)]
    names = []
    for part, header, cells in _PARTS[destination.name](rows, batch):
        name = f"{_PREFIX}-{batch.id}{f'-{part}' if part else ''}.csv"
        write_atomically(folder / name, csv_text(header, cells))
        names.append(name)
    return names


def remove_files(folder: Path, batch_id: str) -> None:
    """Delete the files of a batch that was not sent, so that nobody uploads them."""
    for path in folder.glob(f"{_PREFIX}-{batch_id}*"):
        path.unlink(missing_ok=True)


# Name of a file after the batch, its header, and its rows.
_Part = tuple[str, Sequence[str], Iterable[Sequence[object]]]


def _everything(rows: Sequence[Row], batch: Batch) -> Iterable[_Part]:
    fields = [name for name in _PARQUET if name not in ("operation", "as_of", "customer_id")]
    yield (
        "",
        list(_PARQUET),
        (
            [
                row.operation,
                f"{batch.as_of:%Y-%m-%d}",
                row.customer_id,
                *(_cell(row.content.get(name)) for name in fields),
            ]
            for row in rows
        ),
    )


def _klaviyo(rows: Sequence[Row], _: Batch) -> Iterable[_Part]:
    properties = ("clm_play", "clm_action", "clm_channel", "clm_products")
    header = ["Email", "External ID"]

    def ids(row: Row) -> list[object]:
        return [row.identifier, row.customer_id]

    kept, removed = _split(rows)
    if kept:
        yield (
            ADD,
            [*header, *properties],
            ([*ids(row), row.play, *_message(row.content)] for row in kept),
        )
    if removed:
        yield REMOVE, header, (ids(row) for row in removed)


def _message(content: Mapping[str, Any]) -> list[object]:
    return [content.get("action"), content.get("channel"), _cell(content.get("products"))]


def _mailchimp(rows: Sequence[Row], _: Batch) -> Iterable[_Part]:
    kept, _removed = _split(rows)
    if kept:
        yield (
            ADD,
            ["Email Address", "Tags", "Products"],
            (
                [row.identifier, _tag(row.play), _within(row.content.get("products") or (), _MAX_TEXT)]
                for row in kept
            ),
        )
    ended = [(row, play) for row in rows if (play := _ended(row))]
    if ended:
        yield REMOVE, ["Email Address", "Tags"], ([row.identifier, _tag(play)] for row, play in ended)


def _audiences(
    header: Sequence[str], cells: Callable[[Row], Sequence[object]], rows: Sequence[Row], _: Batch
) -> Iterable[_Part]:
    """Return a file for each play that customers enter, and for each that they leave."""
    for operation, play_of in ((ADD, lambda row: None if row.is_removed else row.play), (REMOVE, _ended)):
        by_play: dict[str, list[Row]] = {}
        for row in rows:
            play = play_of(row)
            if play:
                by_play.setdefault(play, []).append(row)
        for play, members in sorted(by_play.items()):
            yield f"{operation}-{_file_name(play)}", header, (cells(row) for row in members)


_PARTS: Mapping[str, Callable[[Sequence[Row], Batch], Iterable[_Part]]] = {
    "csv": _everything,
    "klaviyo": _klaviyo,
    "mailchimp": _mailchimp,
    "meta": partial(_audiences, ("email", "extern_id"), lambda row: (row.identifier, row.customer_id)),
    "google": partial(_audiences, ("Email",), lambda row: (row.identifier,)),
}


def _split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    return [row for row in rows if not row.is_removed], [row for row in rows if row.is_removed]


def _ended(row: Row) -> str | None:
    """Return the play that a customer leaves, None if they stay in theirs."""
    if row.is_removed:
        return row.play
    return row.old_play if row.old_play != row.play else None


def _cell(value: Any) -> object:
    return "|".join(map(str, value)) if isinstance(value, list) else value


def _tag(play: str) -> str:
    """Return a play as a tag: quoted where it has a comma, which separates tags."""
    tag = play.replace('"', "'")[:_MAX_TAG]
    return f'"{tag}"' if "," in tag else tag


def _within(products: Iterable[str], size: int) -> str:
    """Return as many whole products as fit into a number of bytes, best first."""
    text = ""
    for product in products:
        longer = f"{text}|{product}" if text else str(product)
        if len(longer.encode()) > size:
            break
        text = longer
    return text


def _file_name(play: str) -> str:
    """Return a play as part of a file name; names that would be the same stay different."""
    plain = _UNSAFE.sub("_", play)
    return plain if plain == play else f"{plain}-{hashlib.sha256(play.encode()).hexdigest()[:8]}"


def _write_parquet(rows: Sequence[Row], batch: Batch, folder: Path) -> str:
    name = f"{_PREFIX}-{batch.id}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{name}.", dir=folder) as scratch, closing(duckdb.connect()) as raw:
        lines, target = Path(scratch, "rows.json"), Path(scratch, name)
        with lines.open("w", encoding="utf-8") as file:
            for row in rows:
                known = {"operation": row.operation, "customer_id": row.customer_id}
                file.write(json.dumps({**row.content, **known, "as_of": str(batch.as_of)}) + "\n")
        types = ", ".join(f"{column}: {quoting.text(kind)}" for column, kind in _PARQUET.items())
        Connection(raw).execute(
            f"copy (select {', '.join(_PARQUET)} from read_json({quoting.path(lines)}, "
            f"format = 'newline_delimited', columns = {{{types}}})) to {quoting.text(target)} (format parquet)"
        )
        target.replace(folder / name)
    return name
