"""What was sent where: the ledger `raw.action_exports`, and the difference to it.

Belongs here: the ledger, what is to be sent now, differences. Does not: sending (`files`, `webhook`), the check
(`checking`).

A row is planned in one transaction, sent, and marked as sent in another. So at most one batch of a destination is
planned and not sent: that of a process that was killed, or whose answer was lost.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from clm_dagster.domains.actions.exports.destinations import Destination
from clm_dagster.domains.actions.exports.errors import ExportError
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    import pandas as pd

LEDGER, VIEW, PLAN = "raw.action_exports", "marts.actions_to_send", "marts.next_best_actions"
ADD, CHANGED, REMOVE = "add", "changed", "remove"
OPERATIONS = (ADD, CHANGED, REMOVE)
# A temporary table: the rows of the view at an as_of, with their content and its hash.
NOW = "to_send_now"
_COLUMNS = {
    "destination": "varchar",
    "number": "bigint",
    "batch_id": "varchar",
    "as_of": "timestamp",
    "customer_id": "varchar",
    "play": "varchar",
    "operation": "varchar",
    "row_hash": "varchar",
    "content": "varchar",
    "state": "varchar",
    "sent_at": "timestamp",
}
_SEPARATOR = "chr(31)"


@dataclass(frozen=True)
class Batch:
    """Rows that are sent together. number: place of the batch among those of its destination.

    rows: customer_id, operation, play, old_play, row_hash, content (JSON of the fields), email_hash.
    """

    id: str
    number: int
    as_of: datetime
    rows: "pd.DataFrame"

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each operation."""
        return {name: int((self.rows["operation"] == name).sum()) for name in OPERATIONS}


def prepare(connection: Connection) -> None:
    """Create the ledger if it is missing."""
    listed = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
    connection.execute("create schema if not exists raw")
    connection.execute(f"create table if not exists {LEDGER} ({listed})")


def snapshot_to_send(connection: Connection, given: datetime | None) -> datetime:
    """Return the as_of to export: the given one, else the newest planned one. Raise ExportError without a plan."""
    for relation in (PLAN, VIEW):
        if connection.relation_kind(relation) is None:
            raise ExportError(f"there is no plan of actions yet ({relation}); run `clm run` first")
    planned: list[datetime] = [
        at for (at,) in connection.execute(f"select distinct as_of from {PLAN} order by as_of desc limit 5")
    ]
    if not planned:
        raise ExportError(f"no action is planned yet ({PLAN} has no rows); run `clm run` first")
    if given is None:
        return planned[0]
    if not connection.scalar(f"select count(*) from {PLAN} where as_of = ?", [given]):
        newest = ", ".join(f"{at:%Y-%m-%d}" for at in planned)
        raise ExportError(
            f"no actions are planned at {given:%Y-%m-%d}; the newest plans are of {newest}; choose one of them with "
            "--as-of"
        )
    return given


def read_now(connection: Connection, destination: Destination, as_of: datetime) -> None:
    """Create the temporary table of what may be sent. It is read from the view and from nowhere else."""
    fields = ", ".join(f"{quoting.text(name)}: {quoting.name(name)}" for name in destination.fields)
    connection.execute(
        f"create or replace temporary table {NOW} as "
        f"select *, sha256(customer_id || {_SEPARATOR} || content) as row_hash from ("
        f"select customer_id, play, cast(to_json({{{fields}}}) as varchar) as content "
        f"from {VIEW} where as_of = timestamp '{as_of}')"
    )


def differences(connection: Connection, identity: str) -> "pd.DataFrame":
    """Return what is to be sent so that the destination has the rows of now, by customer_id.

    identity: the destination in the ledger.
    """
    if connection.relation_kind(LEDGER) is None:
        sent = f"(select null as customer_id, null as play, null as row_hash, null as content from {NOW} where false)"
    else:
        sent = (
            "(select * from (select customer_id, play, row_hash, content, operation, row_number() over "
            f"(partition by customer_id order by number desc) as place from {LEDGER} "
            f"where destination = {quoting.text(identity)} and state = 'sent') "
            f"where place = 1 and operation <> '{REMOVE}')"
        )
    return connection.frame(
        f"""
        select
            coalesce(now.customer_id, sent.customer_id) as customer_id,
            case
                when sent.customer_id is null then '{ADD}'
                when now.customer_id is null then '{REMOVE}'
                else '{CHANGED}'
            end as operation,
            coalesce(now.play, sent.play) as play,
            sent.play as old_play,
            coalesce(now.row_hash, sent.row_hash) as row_hash,
            coalesce(now.content, sent.content) as content,
            known.email_hash
        from {NOW} as now
        full join {sent} as sent on now.customer_id = sent.customer_id
        left join (select customer_id, max(email_hash) as email_hash from staging.stg_customers group by 1) as known
            on coalesce(now.customer_id, sent.customer_id) = known.customer_id
        where now.row_hash is distinct from sent.row_hash
        order by 1
        """
    )


def batch_of(connection: Connection, identity: str, as_of: datetime, rows: "pd.DataFrame") -> Batch:
    """Return rows as the next batch of a destination. The same rows after the same batches have the same id."""
    last = connection.scalar(
        f"select max(number) from {LEDGER} where destination = ? and state = 'sent'", [identity]
    )
    number = int(last or 0) + 1
    digest = hashlib.sha256(identity.encode())
    for operation, row_hash in zip(rows["operation"], rows["row_hash"], strict=True):
        digest.update(f"\n{operation} {row_hash}".encode())
    return Batch(f"{as_of:%Y%m%d}-{number:05d}-{digest.hexdigest()[:16]}", number, as_of, rows)


def record(connection: Connection, identity: str, batch: Batch) -> None:
    """Record a batch as planned, in place of one that was planned and not sent."""
    drop_planned(connection, identity)
    stamped = batch.rows.assign(
        destination=identity, number=batch.number, batch_id=batch.id, as_of=batch.as_of, state="planned"
    )
    connection.load_frame("planned_batch", stamped, temporary=True)
    types = {name: kind for name, kind in _COLUMNS.items() if name != "sent_at"}
    listed = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in types.items())
    connection.execute(f"insert into {LEDGER} by name select {listed} from planned_batch")
    connection.execute("drop table planned_batch")


def mark_sent(connection: Connection, identity: str, batch_id: str, at: datetime) -> None:
    """Mark a planned batch as sent."""
    connection.execute(
        f"update {LEDGER} set state = 'sent', sent_at = ? where destination = ? and batch_id = ?",
        [at, identity, batch_id],
    )


def drop_planned(connection: Connection, identity: str) -> list[str]:
    """Forget the batch that was planned and not sent. Return its id, if there is one."""
    where = f"destination = {quoting.text(identity)} and state = 'planned'"
    found = [
        batch for (batch,) in connection.execute(f"select distinct batch_id from {LEDGER} where {where}")
    ]
    if found:
        connection.execute(f"delete from {LEDGER} where {where}")
    return found


def planned(connection: Connection, identity: str) -> tuple[Batch, Sequence[bool]] | None:
    """Return the batch that was planned and may have arrived, and which of its rows may be sent again; else None.

    A row may be sent again if the customer is in the view now, or if it takes a customer off.
    """
    rows = connection.frame(
        f"select ledger.*, cast(null as varchar) as old_play, cast(null as varchar) as email_hash, "
        f"now.customer_id is not null or ledger.operation = '{REMOVE}' as may_be_sent "
        f"from {LEDGER} as ledger left join {NOW} as now on ledger.customer_id = now.customer_id "
        "where ledger.destination = ? and ledger.state = 'planned' order by ledger.customer_id",
        [identity],
    )
    if rows.empty:
        return None
    first = rows.iloc[0]
    batch = Batch(str(first["batch_id"]), int(first["number"]), first["as_of"].to_pydatetime(), rows)
    return batch, [bool(each) for each in rows["may_be_sent"]]
