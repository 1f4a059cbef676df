"""One export: plan the difference, send it, note in the ledger that it was sent.

Belongs here: the order of these steps, and what a killed process leaves. Does not: the ledger (`ledger`), files
(`files`), requests (`webhook`), Dagster (`assets`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout

from clm_dagster.domains.actions.exports import ledger
from clm_dagster.domains.actions.exports.addresses import read_addresses
from clm_dagster.domains.actions.exports.checking import check_allowed
from clm_dagster.domains.actions.exports.destinations import DESTINATIONS, WEBHOOK, Address, Destination
from clm_dagster.domains.actions.exports.errors import ExportError
from clm_dagster.domains.actions.exports.files import can_be_sent, identifiers, remove_files, write_files
from clm_dagster.domains.actions.exports.webhook import Webhook, body_of, post
from clm_dagster.domains.actions.settings import ActionSettings
from clm_dagster.platform.warehouse import Connection, Warehouse
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from clm_dagster.domains.actions.exports.ledger import Batch

Result = TypeVar("Result")


@dataclass(frozen=True)
class Request:
    """What to export. as_of: None for the newest plan. out: folder of files, None for one in the data folder.

    emails: file of addresses. url: of the webhook, with secrets as `${NAME}`.
    """

    destination: str
    as_of: date | None = None
    out: Path | None = None
    emails: Path | None = None
    url: str | None = None

    @property
    def target(self) -> Destination:
        """The destination. Raise ExportError for an unknown one."""
        if self.destination not in DESTINATIONS:
            raise ExportError(
                f"the destination {self.destination!r} is unknown; expected one of {', '.join(DESTINATIONS)}"
            )
        return DESTINATIONS[self.destination]


@dataclass
class Exported:
    """What an export did. allowed: customers who may be sent at all. without_address: rows that were left out.

    folder: of the files, or the host of the webhook.
    """

    destination: str
    as_of: datetime
    allowed: int
    folder: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ledger.OPERATIONS, 0))
    without_address: int = 0
    files: list[str] = field(default_factory=list)
    batches: int = 0

    def add(self, counts: Mapping[str, int]) -> None:
        """Count the rows of a batch."""
        self.batches += 1
        for name, number in counts.items():
            self.counts[name] += number


@dataclass(frozen=True)
class _Planned:
    """What is to be sent. allowed: number of customers who may be sent. rows: the difference to what was sent."""

    as_of: datetime
    allowed: int
    rows: "pd.DataFrame"


class Export:
    """One export of a shop. Raise ExportError for a request that cannot be met, before anything is read."""

    def __init__(
        self, settings: Settings, warehouse: Warehouse, request: Request, log: Callable[[str], None]
    ) -> None:
        self._settings, self._warehouse, self._request, self._log = settings, warehouse, request, log
        self._own = settings.of(ActionSettings)
        self._target = request.target
        self._purpose = f"export of actions to {self._target.name}"
        if self._target.address is Address.PLAIN and request.emails is None:
            raise ExportError(
                f"{self._target.name} recognises customers by their e-mail address, which the warehouse does not have; "
                "give --emails FILE, a CSV file of the shop with the columns customer_id and email"
            )
        self._hook = (
            Webhook.of(
                request.url,
                self._own.webhook_timeout,
                self._own.webhook_attempts,
                self._own.webhook_wait,
            )
            if self._target.name == WEBHOOK
            else None
        )
        self._identity = self._hook.identity if self._hook else self._target.name
        base = settings.data_dir.resolve() / "exports"
        self._folder = request.out.expanduser().resolve() if request.out else base / self._target.name
        self._lock_file = base / f".{self._target.name}.lock"

    def preview(self) -> Exported:
        """Return what would be sent. Change nothing. Raise ExportError, NotAllowedError."""
        addresses = self._addresses()
        with self._warehouse.connect_read_only(self._purpose) as connection:
            if connection is None:
                raise ExportError("there is no warehouse yet; run `clm run` first")
            planned = self._plan(connection)
        found, rows, _ = self._sendable(planned, addresses)
        if len(rows):
            found.counts = {name: int((rows["operation"] == name).sum()) for name in ledger.OPERATIONS}
        return found

    def run(self) -> Exported:
        """Send the difference to what was sent last. Raise ExportError, NotAllowedError before anything is sent.

        What a killed process has planned and not noted as sent is replaced (files) or sent again with the same key
        (webhook).
        """
        with self._lock():
            return self._to_webhook(self._hook) if self._hook else self._to_files()

    def _to_files(self) -> Exported:
        addresses = self._addresses()

        def plan(connection: Connection) -> tuple[list[str], Exported, list[str | None], "Batch | None"]:
            ledger.prepare(connection)
            planned = self._plan(connection)
            stale = ledger.drop_planned(connection, self._identity)
            found, rows, names = self._sendable(planned, addresses)
            batch = ledger.batch_of(connection, self._identity, planned.as_of, rows) if len(rows) else None
            if batch:
                ledger.record(connection, self._identity, batch)
            return stale, found, names, batch

        stale, found, names, batch = self._write(plan)
        for batch_id in stale:
            remove_files(self._folder, batch_id)
        if batch:
            found.files = write_files(self._target, batch, names, self._folder)
            self._mark_sent(batch)
            found.add(batch.counts())
        return found

    def _write(self, work: Callable[[Connection], Result]) -> Result:
        """Run a function in a transaction, which may be repeated."""
        with self._warehouse.connect(self._purpose) as connection:
            return connection.run_transaction(lambda: work(connection), ledger.LEDGER, [self._identity])

    def _mark_sent(self, batch: "Batch") -> None:
        at = _now()
        self._write(lambda connection: ledger.mark_sent(connection, self._identity, batch.id, at))

    def _to_webhook(self, hook: Webhook) -> Exported:
        def plan(connection: Connection) -> "tuple[_Planned, tuple[Batch, Sequence[bool]] | None]":
            ledger.prepare(connection)
            return self._plan(connection), ledger.planned(connection, self._identity)

        planned, pending = self._write(plan)
        found, rows, _ = self._sendable(planned, None)
        if pending:
            batch, may_be_sent = pending
            self._log(f"batch {batch.id} may have arrived; posting it again with the same key")
            post(hook, batch.id, body_of(batch, may_be_sent), self._log)
            self._mark_sent(batch)
            # Whoever was left out now may have arrived before, and so is taken off.
            planned = self._write(self._plan)
            found.add(batch.counts())
            rows = planned.rows
        size = self._own.webhook_rows
        for start in range(0, len(rows), size):
            part = rows.iloc[start : start + size]
            batch = self._write(partial(self._record, planned.as_of, part))
            post(hook, batch.id, body_of(batch), self._log)
            self._mark_sent(batch)
            found.add(batch.counts())
        return found

    def _record(self, as_of: datetime, part: "pd.DataFrame", connection: Connection) -> "Batch":
        batch = ledger.batch_of(connection, self._identity, as_of, part)
        ledger.record(connection, self._identity, batch)
        return batch

    def _plan(self, connection: Connection) -> _Planned:
        """Read what may be sent now, check it, and compare it with what was sent."""
        given = datetime.combine(self._request.as_of, time.min) if self._request.as_of else None
        as_of = ledger.snapshot_to_send(connection, given)
        ledger.read_now(connection, self._target, as_of)
        allowed = check_allowed(connection, as_of, self._own.consent == "stated")
        return _Planned(as_of, allowed, ledger.differences(connection, self._identity))

    def _sendable(
        self, planned: _Planned, addresses: Mapping[str, str] | None
    ) -> tuple[Exported, "pd.DataFrame", list[str | None]]:
        """Return the rows that the destination can match with a customer, with their addresses or hashes."""
        rows = planned.rows
        names = identifiers(self._target, rows, addresses)
        kept = can_be_sent(self._target, rows, names)
        folder = self._hook.host if self._hook else str(self._folder)
        found = Exported(self._target.name, planned.as_of, planned.allowed, folder)
        found.without_address = len(kept) - sum(kept)
        return found, rows[kept], [name for name, is_kept in zip(names, kept, strict=True) if is_kept]

    def _addresses(self) -> dict[str, str] | None:
        needs = self._target.address is not Address.ID
        return read_addresses(self._request.emails) if self._request.emails and needs else None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._lock_file, timeout=self._settings.lock_timeout):
                yield
        except Timeout:
            raise ExportError(
                f"another process has been exporting actions to {self._target.name} for "
                f"{self._settings.lock_timeout:g} s (setting CLM_LOCK_TIMEOUT); try again when it has ended"
            ) from None


def _now() -> datetime:
    """Return the time of sending, in UTC: a fact about the export, on which no result depends."""
    return datetime.now(UTC).replace(tzinfo=None)
