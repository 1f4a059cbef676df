"""The SQL that gives landed rows the contract's types, fills in derived values and finds the reject reasons.

Belongs here: what is decided for a single row. Does not: versions and duplicates (`merging`), the rules themselves (the
YAML of the contract table), reading text in a shop's format (the adapter).

A value passes three steps: as the adapter returns it, cast to the contract's type, and filled in by the contract's
`fills`. The condition of a reject reads cast values; it reads a filled value as `filled.<column>`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clm_dagster.domains.ingest import feed_rows
from clm_dagster.domains.ingest.adapter import PROVENANCE, Adapter
from clm_dagster.domains.ingest.contract import CURRENCY, END, OPTIONAL, RATE, START, ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import Feed
from clm_dagster.domains.ingest.identifiers import mangled
from clm_dagster.domains.ingest.merging import LandedDays
from clm_dagster.domains.ingest.values import loses_decimals, whole_number
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project.sql_errors import sql_errors
from clm_dagster.platform.warehouse import Connection

_WHOLE_NUMBERS = ("BIGINT", "INTEGER")
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
# A property of a value in the condition of a reject, such as `too_large.quantity`.
_PROPERTY = re.compile(r"\b(unreadable|too_large|too_precise|mangled|filled)\.(\w+)")


@dataclass(frozen=True)
class Limits:
    """What typing needs to know of the shop.

    start, end: SQL for its dates. currency: empty if it has a single one; `_rates` has the rates of others.
    """

    start: str
    end: str
    currency: str


def type_rows(
    connection: Connection,
    adapter: Adapter,
    contract: ContractTable,
    landed: Sequence[LandedDays],
    limits: Limits,
) -> None:
    """Create `_typed`: all landed rows in the contract's types, with known_at, feed, reject and skip reason, if any.

    Raise InputError if a feed's SQL multiplies or drops rows, uses an undescribed reason, or if its timestamp differs
    from `time`.
    """
    rows = _typed_rows(connection, adapter, contract, landed, limits)
    # An error of the rows: the columns are found.
    first, *others = (feed.path for feed in adapter.tables[contract.name])
    with sql_errors(first, rows, others, InputError, is_whole=False):
        connection.execute(f"create or replace temp table _typed as {rows}")
    for days in landed:
        feed_rows.check_one_for_one(connection, adapter, days)
        feed_rows.check_reasons(connection, adapter, days.feed)
        feed_rows.check_time(connection, adapter, days.feed)


def type_foreign(
    connection: Connection,
    adapter: Adapter,
    contract: ContractTable,
    landed: Sequence[LandedDays],
    limits: Limits,
) -> None:
    """Create `_foreign`: the rows of other days, as in `_typed`, whose keys are in `_elsewhere`."""
    if not landed:
        connection.execute("create or replace temp table _foreign as select * from _typed limit 0")
        return
    rows = _typed_rows(connection, adapter, contract, landed, limits)
    connection.execute(
        f"create or replace temp table _foreign as select * from ({rows}) "
        f"where {contract.key} in (select row_key from _elsewhere)"
    )


def _typed_rows(
    connection: Connection,
    adapter: Adapter,
    contract: ContractTable,
    landed: Sequence[LandedDays],
    limits: Limits,
) -> str:
    return " union all ".join(
        _Typed(contract, days.feed, _columns(connection, days.feed, one), limits).select(sql)
        for days in landed
        for one, sql in days.queries(adapter)
    )


def _columns(connection: Connection, feed: Feed, sql: str) -> dict[str, str]:
    """Return the columns of a feed's SQL. Raise InputError, with file and line, if DuckDB refuses it."""
    with sql_errors(feed.path, sql, sorted(feed.path.parent.glob("_*.sql")), InputError):
        return connection.columns(sql)


@dataclass(frozen=True)
class _Typed:
    """The typed rows of one query of a feed. given: its columns with their types."""

    contract: ContractTable
    feed: Feed
    given: Mapping[str, str]
    limits: Limits

    def select(self, sql: str) -> str:
        """Return SQL for the typed rows of an adapter's query."""
        columns = self.contract.columns | OPTIONAL
        fills = self.contract.fills
        wanted = [
            f"_filled_{name} as {name}" if name in fills else name for name in columns if name != "known_at"
        ]
        adapter_reason, skip_reason = (
            f"a.{name}" if name in self.given else "cast(null as varchar)"
            for name in ("reject_reason", "skip_reason")
        )
        guest_text = "a.customer_id__text" if "customer_id__text" in self.given else "cast(null as varchar)"
        provenance = ", ".join(f"a.{name}" for name in PROVENANCE)
        filled = [f"{self._resolved(value)} as _filled_{name}" for name, value in fills.items()]
        first_known = self.contract.time or self.limits.start
        identity = self.contract.identity
        if self.contract.key in fills:
            identity = f"_filled_{identity}"
        whens = " ".join(
            f"when {self._condition(reject.when)} then '{reject.reason}'" for reject in self.contract.rejects
        )
        return f"""
            select {", ".join(wanted)},
                coalesce(known_at, case when history then {first_known} else landed_at end) as known_at,
                known_at as own_known_at, {self._no_customer()} as no_customer,
                {", ".join(PROVENANCE)}, hash({identity}) as key_hash,
                case when skip_reason is null then coalesce(adapter_reason, case {whens} end) end as reject_reason,
                skip_reason, '{self.feed.name}' as _feed
            from (
                select {", ".join(["t.*", *filled])}
                from (
                    select {", ".join([*self._casts(), *self._properties()])}, {provenance},
                        {guest_text} as customer_text, {adapter_reason} as adapter_reason, {skip_reason} as skip_reason,
                        d.landed_at, d.history
                    from ({sql}) as a join _deliveries as d on a._delivery_id = d.delivery_id
                ) as t {self._rates()}
            )
        """

    def _no_customer(self) -> str:
        """Return SQL for the text that was read as no customer; null for a customer, and where there is no text."""
        if "customer_id" not in self.contract.columns:
            return "cast(null as varchar)"
        return "case when customer_id is null then customer_text end"

    def _rates(self) -> str:
        if "exchange_rate" not in self.contract.columns:
            return ""
        return (
            "left join _rates as r on r.rate_day = cast(t.event_at as date) "
            "and r.rate_currency = upper(trim(t.currency))"
        )

    def _casts(self) -> list[str]:
        columns = self.contract.columns | OPTIONAL
        return [f"{self._cast(name, kind)} as {name}" for name, kind in columns.items()]

    def _cast(self, name: str, kind: str) -> str:
        if name not in self.given:
            return "false" if name == "deleted" else f"cast(null as {kind})"
        value = self._readable(name, kind)
        return f"coalesce({value}, false)" if name == "deleted" else value

    def _readable(self, name: str, kind: str) -> str:
        if self.given[name] == kind:
            return f"a.{name}"
        if kind in _WHOLE_NUMBERS:
            return whole_number(f"a.{name}", kind)
        return f"try_cast(a.{name} as {kind})"

    def _properties(self) -> list[str]:
        """Return one flag for each property of a value that a reject asks for."""
        columns = self.contract.columns | OPTIONAL
        asked = {
            found
            for reject in self.contract.rejects
            for found in _PROPERTY.findall(reject.when)
            if found[0] != "filled"
        }
        made = {
            "unreadable": self._unreadable,
            "too_large": self._too_large,
            "too_precise": self._too_precise,
            "mangled": self._mangled,
        }
        return [
            f"coalesce({made[what](name, columns[name])}, false) as _{what}_{name}"
            for what, name in sorted(asked)
        ]

    def _unreadable(self, name: str, kind: str) -> str:
        """Return SQL that is true for a value that is present but cannot be parsed.

        An adapter that parses a column itself also returns its text, as `<column>__text`.
        """
        text = f"{name}__text" if f"{name}__text" in self.given else name
        if name not in self.given or (text == name and self.given[name] == kind):
            return "false"
        return f"(a.{text} is not null and ({self._readable(name, kind)}) is null)"

    def _too_large(self, name: str, kind: str) -> str:
        """Return SQL that is true for a number that its type cannot hold."""
        if name not in self.given or (self.given[name] == kind and f"{name}__text" not in self.given):
            return "false"
        number = self._number_text(name)
        return f"(try_cast({number} as {kind}) is null and isfinite(try_cast({number} as double)))"

    def _number_text(self, name: str) -> str:
        """Return SQL for a number as text: as the adapter returns it, or where it could not hold it, as delivered."""
        text = f"cast(a.{name} as varchar)"
        return f"coalesce({text}, a.{name}__text)" if f"{name}__text" in self.given else text

    def _mangled(self, name: str, kind: str) -> str:
        """Return SQL that is true for an id whose last digits a spreadsheet has lost."""
        return mangled(f"a.{name}") if self.given.get(name) == kind else "false"

    def _too_precise(self, name: str, kind: str) -> str:
        """Return SQL that is true for a number with more decimals than its type holds."""
        scale = _scale(kind)
        given = self.given.get(name)
        if given is None:
            return "false"
        holds = given in _WHOLE_NUMBERS or ("DECIMAL" in given and _scale(given) <= scale)
        if holds and f"{name}__text" not in self.given:
            return "false"
        return loses_decimals(self._number_text(name), kind, scale)

    def _condition(self, when: str) -> str:
        return f"({self._resolved(when).replace(START, self.limits.start).replace(END, self.limits.end)})"

    def _resolved(self, expression: str) -> str:
        currency = quoting.text(self.limits.currency) if self.limits.currency else "null"
        return _PROPERTY.sub(r"_\1_\2", expression).replace(CURRENCY, currency).replace(RATE, "r.rate")


def _scale(kind: str) -> int:
    found = _DECIMAL.fullmatch(kind)
    if found is None:
        raise InputError(f"`too_precise` is for a DECIMAL column; found {quoting.text(kind)}")
    return int(found[2])
