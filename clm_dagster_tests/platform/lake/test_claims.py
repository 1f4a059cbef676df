"""Locks of partitions: which ones are taken, who waits, and what a killed process leaves."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from clm_dagster.platform.lake.catalogue import Catalogue
from clm_dagster.platform.lake.claims import Lock, claimed, locks_of
from clm_dagster.platform.lake.conflicts import ConflictError
from clm_dagster.settings import Settings


def days(first: date, count: int) -> list[str]:
    return [(first + timedelta(days=n)).isoformat() for n in range(count)]


def test_single_days_share_their_month() -> None:
    assert locks_of("core.t", ["2024-02-03", "2024-01-31", "2024-02-03"]) == [
        Lock("core.t 2024-01*", is_shared=True),
        Lock("core.t 2024-01-31"),
        Lock("core.t 2024-02*", is_shared=True),
        Lock("core.t 2024-02-03"),
    ]
    assert locks_of("core.t", [""]) == [Lock("core.t *", is_shared=True), Lock("core.t ")]


def test_ten_years_need_few_locks() -> None:
    locks = locks_of("core.t", days(date(2014, 1, 15), 3_650))
    assert len(locks) < 12 * 10 + 2 * 31
    assert not locks[2 * 31].is_shared


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (["2024-01-05"], ["2024-01-05"]),
        (["2024-01-05"], days(date(2024, 1, 1), 31)),
        (days(date(2024, 1, 1), 31), ["2024-01-05"]),
        ([""], [""]),
    ],
)
def test_the_same_partition_is_waited_for(
    lake_settings: Callable[..., Settings], held: list[str], wanted: list[str]
) -> None:
    catalogue = Catalogue.of(lake_settings())
    with (
        claimed(catalogue, "core.t", held, "one", 60),
        pytest.raises(ConflictError, match=r"the other waited 1 s .*core\.t"),
        claimed(catalogue, "core.t", wanted, "the other", 1),
    ):
        pass
    with claimed(catalogue, "core.t", wanted, "the other", 1):
        pass


def test_other_partitions_tables_and_lakes_do_not_wait(lake_settings: Callable[..., Settings]) -> None:
    catalogue, another = Catalogue.of(lake_settings()), Catalogue.of(lake_settings())
    january = days(date(2024, 1, 1), 31)
    with claimed(catalogue, "core.t", january, "one", 60):
        for lake, relation, keys in (
            (catalogue, "core.t", days(date(2024, 2, 1), 29)),
            (catalogue, "core.other", january),
            (another, "core.t", january),
        ):
            with claimed(lake, relation, keys, "the other", 1):
                pass
