"""The SQL that gives landed rows the contract's types, fills in derived values and finds the reject reasons.

Belongs here: what is decided for a single row. Does not: versions and duplicates (`merging`), the rules themselves (the
YAML of the contract table), reading text in a shop's format (the adapter).

A value passes three steps: as the adapter returns it, cast to the contract's type, and filled in by the contract's
`fills`. The condition of a reject reads cast values; it reads a filled value as `filled.<column>`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clm_dagster.domains.ingest.adapter import PROVENANCE, Adapter, whole_number
from clm_dagster.domains.ingest.contract import END, OPTIONAL, START, ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.merging import ParquetFiles
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

_WHOLE_NUMBERS = ("BIGINT", "INTEGER")
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
# A property of a value in the condition of a reject, such as `too_large.quantity`.
_PROPERTY = re.compile(r"\b(unreadable|too_large|too_precise|filled)\.(\w+)")
# The digits that a binary floating-point number may have beyond the decimal number that it stands for.
_FLOAT_DIGITS = (16, 17)
_FLOAT_NOISE = "1e-15"


def type_rows(
    connection: Connection,
    adapter: Adapter,
    contract: ContractTable,
    landed: ParquetFiles,
    start: str,
    end: str,
) -> None:
    """Create `_typed`: all landed rows in the contract's types, with known_at and the reject reason, if any.

    Raise InputError if the adapter's SQL uses an undescribed reason, or if its timestamp differs from `time`.
    """
    selects = []
    for columns, paths in landed.by_columns.items():
        given = connection.columns(adapter.sql(contract.name, columns, landed.rows(paths[:1])))
        sql = adapter.sql(contract.name, columns, landed.rows(paths))
        selects.append(_Typed(contract, given, start, end).select(sql))
    connection.execute(f"create or replace temp table _typed as {' union all '.join(selects)}")
    _check_reasons(connection, adapter, contract)
    if contract.time:
        _check_time(connection, adapter, contract)


def _check_reasons(connection: Connection, adapter: Adapter, contract: ContractTable) -> None:
    described = adapter.tables[contract.name].reasons
    for (reason,) in connection.execute("select distinct reject_reason from _typed"):
        if reason is not None and reason not in described:
            raise InputError(
                f"{adapter.path / 'adapter.yml'}: {contract.name}.sql uses the reject reason {reason!r}, "
                f"but `rejects` does not describe it; described reasons: {', '.join(described)}"
            )


def _check_time(connection: Connection, adapter: Adapter, contract: ContractTable) -> None:
    moved = connection.execute(
        f"select _source_file, _source_row, _event_date, {contract.time} from _typed where reject_reason "
        f"is null and cast({contract.time} as date) is distinct from _event_date limit 1"
    )
    for file, row, day, instant in moved:
        raise InputError(
            f"{adapter.path}: `time` in adapter.yml assigns row {row} of {file} to {day or 'no day'}, but "
            f"{contract.name}.sql returns {contract.time} {instant}; use {{{{ time() }}}} in the SQL"
        )


@dataclass(frozen=True)
class _Typed:
    """The typed rows of one query of an adapter. given: its columns with their types."""

    contract: ContractTable
    given: Mapping[str, str]
    start: str
    end: str

    def select(self, sql: str) -> str:
        """Return SQL for the typed rows of an adapter's query."""
        columns = self.contract.columns | OPTIONAL
        fills = self.contract.fills
        wanted = [
            f"_filled_{name} as {name}" if name in fills else name for name in columns if name != "known_at"
        ]
        adapter_reason = "a.reject_reason" if "reject_reason" in self.given else "cast(null as varchar)"
        provenance = ", ".join(f"a.{name}" for name in PROVENANCE)
        filled = [f"{self._resolved(value)} as _filled_{name}" for name, value in fills.items()]
        first_known = self.contract.time or self.start
        whens = " ".join(
            f"when {self._condition(reject.when)} then '{reject.reason}'" for reject in self.contract.rejects
        )
        return f"""
            select {", ".join(wanted)},
                coalesce(known_at, case when history then {first_known} else landed_at end) as known_at,
                {", ".join(PROVENANCE)}, hash({self.contract.key}, _event_date) as key_hash,
                coalesce(adapter_reason, case {whens} end) as reject_reason
            from (
                select {", ".join(["*", *filled])}
                from (
                    select {", ".join([*self._casts(), *self._properties()])}, {provenance},
                        {adapter_reason} as adapter_reason, d.landed_at, d.history
                    from ({sql}) as a join _deliveries as d on a._delivery_id = d.delivery_id
                )
            )
        """

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
        if name not in self.given or self.given[name] == kind:
            return "false"
        number = f"try_cast(a.{name} as double)"
        return f"(({self._readable(name, kind)}) is null and isfinite({number}))"

    def _too_precise(self, name: str, kind: str) -> str:
        """Return SQL that is true for a number with more decimals than its type holds.

        What a binary floating-point number adds to a decimal number (26.991000000000003) does not count.
        """
        scale = _scale(kind)
        given = self.given.get(name)
        if given is None or given in _WHOLE_NUMBERS or ("DECIMAL" in given and _scale(given) <= scale):
            return "false"
        text = f"cast(a.{name} as varchar)"
        noise = (
            f"abs(cast({text} as double) - cast(cast({text} as {kind}) as double)) "
            f"<= {_FLOAT_NOISE} * abs(cast({text} as double))"
        )
        digits = f"length(ltrim(replace(ltrim({text}, '-+'), '.', ''), '0'))"
        return f"""case
            when length({text}) <= {scale + 1} and not contains(lower({text}), 'e') then false
            when ({self._readable(name, kind)}) is null then false
            when contains(lower({text}), 'e') then not ({noise})
            when length(rtrim(split_part({text}, '.', 2), '0')) <= {scale} then false
            else not ({digits} in {_FLOAT_DIGITS} and {noise})
        end"""

    def _condition(self, when: str) -> str:
        return f"({self._resolved(when).replace(START, self.start).replace(END, self.end)})"

    def _resolved(self, expression: str) -> str:
        return _PROPERTY.sub(r"_\1_\2", expression)


def _scale(kind: str) -> int:
    found = _DECIMAL.fullmatch(kind)
    if found is None:
        raise InputError(f"`too_precise` is for a DECIMAL column; found {quoting.text(kind)}")
    return int(found[2])
