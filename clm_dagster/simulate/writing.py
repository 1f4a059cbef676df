"""Write a day's arrays as Parquet files in the contract's format, and the ground truth next to them.

Belongs here: file names, ids and column formats. Does not: the values. Arrays hold numbers. DuckDB converts
them to ids and timestamps while it writes, in background threads, while the next day is drawn.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType

import duckdb

from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection
from clm_dagster.simulate.aliases import EXTRA, with_aliases
from clm_dagster.simulate.browsing import TYPES
from clm_dagster.simulate.faults import columns
from clm_dagster.simulate.parameters import ARMS, CHANNELS, COUNTRIES, Parameters
from clm_dagster.simulate.rows import Rows

PLACES = ("web", "app", "email")


def _name_by_number(column: str, names: tuple[str, ...]) -> str:
    """Return SQL that maps a number from 0 to a name of a list, and -1 to null."""
    listed = ", ".join(f"'{name}'" for name in names)
    return f"([{listed}])[{column} + 1]"


def _id(column: str, letter: str, digits: int) -> str:
    return f"case when {column} >= 0 then '{letter}' || lpad(cast({column} as varchar), {digits}, '0') end"


_CUSTOMER, _PRODUCT = _id("customer", "c", 7), _id("product", "p", 5)
_KNOWN = "case when known >= 0 then {start} + to_days(cast(known as integer)) else {at} end"
# The select list of each table; {at} is the timestamp of the column `second` on the given day.
_SELECTS = {
    "events": f"""
        'e' || lpad('{{day}}', 5, '0') || '-' || cast("row" as varchar) as event_id, {{at}} as event_at,
        {_CUSTOMER} as customer_id, {_name_by_number("type", TYPES)} as event_type,
        {_id('"order"', "o", 8)} as order_id,
        case when product = -2 then 'POSTAGE' else {_PRODUCT} end as product_id,
        case when quantity >= 0 then quantity end as quantity,
        case when quantity >= 0 then cast(price as decimal(18, 4)) end as unit_price,
        case when quantity >= 0 then 'EUR' end as currency, {_name_by_number("channel", PLACES)} as channel,
        {_name_by_number("country", COUNTRIES)} as country,
        case when session >= 0 then 's' || lpad('{{day}}', 5, '0') || '-' || cast(session as varchar) end as session_id,
        {_KNOWN} as known_at, deleted
    """,
    "customers": f"""
        {_CUSTOMER} as customer_id, {{at}} as signed_up_at, {_name_by_number("country", COUNTRIES)} as country,
        cast(birth_year as integer) as birth_year, case when woman then 'f' else 'm' end as gender,
        {_name_by_number("channel", CHANNELS)} as acquisition_channel, consent as consent_marketing,
        md5('c' || customer) as email_hash, {_KNOWN} as known_at, false as deleted
    """,
    "products": f"""
        {_PRODUCT} as product_id, name, category, cast(price as decimal(18, 4)) as list_price,
        cast(cost as decimal(18, 4)) as unit_cost, {{start}} + to_days({{day}}) as known_at, false as deleted
    """,
    "promotions": f"""
        'm' || cast(number as varchar) as promotion_id, {_PRODUCT} as product_id, category,
        {{start}} + to_days(cast(first as integer)) as starts_at,
        {{start}} + to_days(cast(until as integer)) as ends_at,
        discount, {{start}} + to_days({{day}}) as known_at, false as deleted
    """,
    "touches": f"""
        't' || lpad('{{day}}', 5, '0') || '-' || cast(customer as varchar) as touch_id, {_CUSTOMER} as customer_id,
        {{at}} as sent_at, 'mail-{{day}}' as campaign_id, case when arm = 0 then 'none' else 'email' end as channel,
        {_name_by_number("arm", ARMS)} as arm, cast(case when arm = 0 then 0 else 0.05 end as decimal(18, 4)) as cost,
        case when opened >= 0 then {{midnight}} + to_seconds(opened) end as opened_at,
        case when clicked >= 0 then {{midnight}} + to_seconds(clicked) end as clicked_at,
        {{midnight}} + interval 1 day as known_at, false as deleted
    """,
    "reviews": f"""
        'r' || lpad('{{day}}', 5, '0') || '-' || cast("row" as varchar) as review_id, {_CUSTOMER} as customer_id,
        {_PRODUCT} as product_id, {{at}} as written_at, cast(rating as double) as rating, text,
        {{at}} as known_at, false as deleted
    """,
}


class Writer:
    """Write files in background threads; the bytes do not depend on the number of threads."""

    def __init__(self, parameters: Parameters, out: Path, threads: int) -> None:
        self._parameters, self._out = parameters, out
        self._pool = ThreadPoolExecutor(threads)
        self._pending: list[Future[None]] = []
        self._max_waiting = 4 * threads
        self._local = threading.local()
        self._connections: list[duckdb.DuckDBPyConnection] = []

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._wait(0)
        finally:
            self._pool.shutdown(cancel_futures=True)
            for connection in self._connections:
                connection.close()

    def table(self, table: str, day: int, rows: Rows, name: str, dirt: Rows | None = None) -> None:
        """Write a day's rows to `inbox/<table>/<name>.parquet`; as text if the file also holds dirty rows."""
        midnight = f"({self._start} + to_days({day}))"
        at = f"({midnight} + to_seconds(cast(second as bigint)))"
        select = _SELECTS[table].format(day=day, at=at, midnight=midnight, start=self._start)
        sql = with_aliases(table, select) if self._parameters.aliases else f"select {select} from rows"
        self._submit_copy(sql, f"inbox/{table}/{name}.parquet", rows, table, dirt)

    def truth(self, rows: Rows, name: str) -> None:
        """Write `truth/<name>.parquet`."""
        self._submit_copy("select * from rows", f"truth/{name}.parquet", rows)

    def compute(self, make: Callable[[], Rows], name: str) -> None:
        """Write `truth/<name>.parquet`, computing its rows in the background too."""
        self._submit(lambda: self._write("select * from rows", f"truth/{name}.parquet", make()))

    @property
    def _start(self) -> str:
        return f"timestamp '{datetime.combine(self._parameters.start, datetime.min.time())}'"

    def _submit_copy(
        self, sql: str, name: str, rows: Rows, table: str = "", dirt: Rows | None = None
    ) -> None:
        self._submit(lambda: self._write(sql, name, rows, table, dirt))

    def _submit(self, work: Callable[[], None]) -> None:
        self._pending.append(self._pool.submit(work))
        self._wait(self._max_waiting)

    def _wait(self, most: int) -> None:
        """Wait until at most `most` files are unwritten; raise the error of a file that failed."""
        while len(self._pending) > most:
            self._pending.pop(0).result()

    def _write(self, sql: str, name: str, rows: Rows, table: str = "", dirt: Rows | None = None) -> None:
        path = self._out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connection()
        # Registered by name, because DuckDB's replacement scan does not see the frame of a lambda.
        connection.register("rows", rows)
        if dirt is not None:
            connection.register("dirt", dirt)
            extra = list(EXTRA.get(table, ())) if self._parameters.aliases else []
            texts = [f"cast({column} as varchar) as {column}" for column in (*columns(table), *extra)]
            dirty = [*texts[: len(columns(table))], *("null" for _ in extra)]
            sql = f"select {', '.join(texts)} from ({sql}) union all select {', '.join(dirty)} from dirt"
        Connection(connection).execute(
            f"copy ({sql}) to {quoting.text(path)} (format parquet, compression snappy)"
        )
        connection.unregister("rows")

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = duckdb.connect(config={"threads": 1, "memory_limit": "512MB"})
            self._connections.append(self._local.connection)
        connection: duckdb.DuckDBPyConnection = self._local.connection
        return connection
