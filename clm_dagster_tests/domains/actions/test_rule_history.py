"""Which rule of a segment holds at a snapshot, whatever is computed when."""

from datetime import datetime, timedelta

from clm_dagster.domains.actions.rule_history import rules_at
from clm_dagster.domains.actions.segment_rules import SegmentRule
from clm_dagster.platform.warehouse import Connection

FIRST = datetime(2024, 6, 3)
WEEK = timedelta(days=7)


def conditions(
    connection: Connection, rules: list[SegmentRule], week: int, is_newest: bool
) -> dict[str, str]:
    found = rules_at(connection, rules, FIRST + week * WEEK, is_newest)
    return {rule.name: rule.condition for rule in found}


def rule(name: str, condition: str) -> SegmentRule:
    return SegmentRule(name, f"about {name}", condition)


def test_an_edit_holds_from_the_newest_snapshot_on_and_the_past_keeps_its_rule(
    connection: Connection,
) -> None:
    old, new = [rule("a", "orders > 1")], [rule("a", "orders > 2")]
    for week in range(3):
        assert conditions(connection, old, week, is_newest=True) == {"a": "orders > 1"}
    # Everything is computed again after the edit, oldest first, as a run does.
    assert conditions(connection, new, 0, is_newest=False) == {"a": "orders > 1"}
    assert conditions(connection, new, 1, is_newest=False) == {"a": "orders > 1"}
    assert conditions(connection, new, 2, is_newest=True) == {"a": "orders > 2"}
    assert conditions(connection, new, 3, is_newest=True) == {"a": "orders > 2"}
    assert conditions(connection, new, 1, is_newest=False) == {"a": "orders > 1"}
    history = connection.execute(
        "select rule_version, from_as_of from raw.segment_rules order by 2 nulls first"
    )
    assert [since for _, since in history] == [None, FIRST + 2 * WEEK]
    assert [version for version, _ in history] == [old[0].version, new[0].version]


def test_two_edits_of_one_week_leave_one_rule(connection: Connection) -> None:
    for condition in ("orders > 1", "orders > 2", "orders > 3", "orders > 1"):
        conditions(connection, [rule("a", condition)], 4, is_newest=True)
    assert conditions(connection, [rule("a", "orders > 1")], 4, is_newest=True) == {"a": "orders > 1"}
    assert conditions(connection, [rule("a", "orders > 1")], 3, is_newest=False) == {"a": "orders > 1"}


def test_a_segment_that_is_taken_out_ends_and_may_come_back(connection: Connection) -> None:
    both = [rule("a", "orders > 1"), rule("b", "consents")]
    assert set(conditions(connection, both, 0, is_newest=True)) == {"a", "b"}
    assert set(conditions(connection, both[:1], 1, is_newest=True)) == {"a"}
    assert set(conditions(connection, both[:1], 0, is_newest=False)) == {"a", "b"}
    assert set(conditions(connection, both, 2, is_newest=True)) == {"a", "b"}
    assert [set(conditions(connection, both, week, is_newest=False)) for week in range(3)] == [
        {"a", "b"},
        {"a"},
        {"a", "b"},
    ]


def test_a_new_segment_is_there_for_all_time(connection: Connection) -> None:
    conditions(connection, [rule("a", "orders > 1")], 5, is_newest=True)
    added = [rule("a", "orders > 1"), rule("b", "consents")]
    assert conditions(connection, added, 0, is_newest=False) == {"a": "orders > 1", "b": "consents"}
