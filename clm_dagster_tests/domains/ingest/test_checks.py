"""The ledger's check finds what is lost, added or moved."""

import re
from datetime import date

import pytest

from clm_dagster.domains.ingest.assets import EVENTS
from clm_dagster.domains.ingest.checks import ledger_problems, ledger_result, share_result
from clm_dagster.domains.ingest.loading import Days
from clm_dagster_tests.domains.ingest.shop import Shop, csv_of, line

DAYS = Days(date(2024, 1, 1), date(2024, 1, 8))


@pytest.fixture
def loaded(shop: Shop) -> Shop:
    rows = [line("e1"), line("e1"), line("e2"), line("bad", quantity="0"), line("later", "2024-01-20")]
    shop.write("events.csv", csv_of(*rows))
    shop.ingest()
    return shop


def problems(shop: Shop) -> str:
    result = ledger_result(
        shop.connection, EVENTS, shop.source.landing.deliveries(), shop.contract["events"], DAYS
    )
    assert result.passed is (result.description is None)
    return result.description or ""


def test_a_sound_load_balances(loaded: Shop) -> None:
    assert problems(loaded) == ""
    assert ledger_problems(loaded.connection, loaded.contract["events"]) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            "delete from raw.events where event_id = 'e1'",
            "the ledger counts 2 accepted rows, the table has 1",
        ),
        ("delete from raw.rejects", r"1 rejected \(0 kept\)"),
        (
            "insert into raw.deliveries from raw.deliveries",
            "has 4 landed rows for these days, but the ledger counts 8",
        ),
        ("update raw.deliveries set duplicate = duplicate + 1", "4 delivered, 2 accepted, 1 rejected"),
        ("update raw.deliveries set duplicate = -1, accepted = 4", "-1 duplicate"),
        ("delete from raw.deliveries", "has 4 landed rows for these days, but the ledger counts 0"),
    ],
)
def test_what_is_lost_or_added_is_found(loaded: Shop, damage: str, found: str) -> None:
    loaded.query(damage)
    assert re.search(found, problems(loaded))


def test_days_that_are_off_in_opposite_directions_are_both_named(loaded: Shop) -> None:
    loaded.query(
        "update raw.deliveries set delivered = delivered + case when event_date = '2024-01-20' then 1 else -1 end"
    )
    named = ledger_problems(loaded.connection, loaded.contract["events"])
    assert len(named) == 2 and "2024-01-20: 2 delivered, 1 accepted" in named[1]


def test_damage_outside_the_days_is_not_theirs(loaded: Shop) -> None:
    loaded.query("delete from raw.events where event_id = 'later'")
    assert problems(loaded) == ""
    assert ledger_problems(loaded.connection, loaded.contract["events"]) == [
        "events: the ledger counts 3 accepted rows, the table has 2"
    ]


def test_many_rejects_are_worth_a_look(loaded: Shop) -> None:
    result = share_result(loaded.connection, EVENTS, DAYS)
    assert (result.passed, result.metadata["rejected_share"].value) == (False, 0.25)
    assert share_result(loaded.connection, EVENTS, Days(date(2024, 1, 15), date(2024, 1, 22))).passed
    assert share_result(loaded.connection, EVENTS, Days(date(2024, 2, 15), date(2024, 2, 22))).passed
