"""Which rule of a custom segment holds at a snapshot: the ledger `raw.segment_rules`.

Belongs here: recording an edit, and reading the rules of an as_of. Does not: the file (`segment_rules`), the rows
(`segment_table`).

The first rule of a segment holds for all time. An edit holds from the newest snapshot on, so that a snapshot that is
computed again has the customers that it had, under the rule of then. A segment that is taken out of the file ends in
the same way.
"""

from collections.abc import Sequence
from datetime import datetime

from clm_dagster.domains.actions.segment_rules import SegmentRule
from clm_dagster.platform.warehouse import Connection

LEDGER = "raw.segment_rules"
_COLUMNS = (
    "segment varchar, rule_version varchar, condition varchar, description varchar, from_as_of timestamp"
)
# The newest rule of each segment that holds at an as_of; one without a condition has ended.
_IN_FORCE = f"""
    select segment, condition, description from (
        select *, row_number() over (
            partition by segment order by coalesce(from_as_of, timestamp '0001-01-01') desc
        ) as place
        from {LEDGER} where from_as_of is null or from_as_of <= ?
    )
    where place = 1 and condition is not null order by segment
"""


def rules_at(
    connection: Connection, rules: Sequence[SegmentRule], as_of: datetime, is_newest: bool
) -> list[SegmentRule]:
    """Record the rules of the file, then return those that hold at a snapshot, by name.

    is_newest: whether no later snapshot is stored; only then do edits take effect.
    """
    connection.execute("create schema if not exists raw")
    connection.execute(f"create table if not exists {LEDGER} ({_COLUMNS})")
    _record_first(connection, rules)
    if is_newest:
        _record_edits(connection, rules, as_of)
    return [SegmentRule(name, text, rule) for name, rule, text in connection.execute(_IN_FORCE, [as_of])]


def _record_first(connection: Connection, rules: Sequence[SegmentRule]) -> None:
    known = {name for (name,) in connection.execute(f"select distinct segment from {LEDGER}")}
    for rule in rules:
        if rule.name not in known:
            _insert(connection, rule, None)


def _record_edits(connection: Connection, rules: Sequence[SegmentRule], as_of: datetime) -> None:
    """Record rules that differ from those in force, from this snapshot on; an edit of the same snapshot is replaced."""
    in_force = {
        name: SegmentRule(name, text, rule) for name, rule, text in connection.execute(_IN_FORCE, [as_of])
    }
    wanted = {rule.name: rule for rule in rules}
    for name in sorted(in_force | wanted):
        rule, held = wanted.get(name), in_force.get(name)
        if rule is not None and held is not None and rule.version == held.version:
            continue
        connection.execute(f"delete from {LEDGER} where segment = ? and from_as_of = ?", [name, as_of])
        if rule is None:
            connection.execute(f"insert into {LEDGER} values (?, null, null, null, ?)", [name, as_of])
        else:
            _insert(connection, rule, as_of)


def _insert(connection: Connection, rule: SegmentRule, since: datetime | None) -> None:
    connection.execute(
        f"insert into {LEDGER} values (?, ?, ?, ?, ?)",
        [rule.name, rule.version, rule.condition, rule.description, since],
    )
