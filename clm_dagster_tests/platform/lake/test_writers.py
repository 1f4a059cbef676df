"""Many processes that write the same and different tables and days of a lake, and processes that are killed."""

import random
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from clm_dagster.platform.lake.conflicts import ConflictError
from clm_dagster.platform.lake.maintenance import delete_files
from clm_dagster.platform.lake.warehouse import lake_of
from clm_dagster.settings import Settings
from clm_dagster_tests.platform.lake import writers

DAY = "2024-01-05"


def test_a_write_that_conflicts_is_repeated_on_the_new_rows(lake_settings: Callable[..., Settings]) -> None:
    lake = lake_of(lake_settings())
    with lake.connect("one") as one, lake.connect("other") as other:
        writers.create(one)
        attempts = []

        def work() -> None:
            n = one.scalar("select count(*) from core.done")
            attempts.append(n)
            if len(attempts) == 1:
                writers.count_up(other, DAY, 2, 1)
            one.execute("delete from core.counters")
            one.execute(f"insert into core.counters values (date '{DAY}', {n + 10})")

        one.run_transaction(work)
        assert attempts == [0, 1]
        assert one.execute("select n from core.counters") == [(11,)]


def test_a_write_that_always_conflicts_fails_in_time(lake_settings: Callable[..., Settings]) -> None:
    lake = lake_of(lake_settings(lake_retry_seconds=0.5))
    with lake.connect("the slow step") as one, lake.connect("other") as other:
        writers.create(one)

        def work() -> None:
            one.execute("delete from core.counters")
            one.execute(f"insert into core.counters values (date '{DAY}', 1)")
            writers.count_up(other, DAY, 2, 1)

        with pytest.raises(ConflictError, match=r"the slow step conflicted .*CLM_LAKE_RETRY_SECONDS"):
            one.run_transaction(work)
        assert one.scalar("select count(*) from core.done") > 1


def test_an_error_of_the_work_is_not_repeated(lake_settings: Callable[..., Settings]) -> None:
    with lake_of(lake_settings()).connect("a test") as connection:
        writers.create(connection)
        calls = []

        def work() -> None:
            calls.append(1)
            connection.execute("insert into core.counters values (null, 1)")
            raise ValueError("wrong")

        with pytest.raises(ValueError, match="wrong"):
            connection.run_transaction(work)
        assert calls == [1]
        assert connection.scalar("select count(*) from core.counters where day is null") == 0


@pytest.mark.slow
def test_many_writers_of_one_day_lose_nothing(lake_settings: Callable[..., Settings]) -> None:
    settings = lake_settings()
    lake = lake_of(settings)
    with lake.connect("a test") as connection:
        writers.create(connection)
    processes = [writers.start(settings, "count_up", DAY, writer, range(8)) for writer in range(4)]
    writers.go(processes)
    printed = writers.outputs(processes)
    assert "because of a conflict" in "".join(printed)
    with lake.connect("a test") as connection:
        assert connection.execute("select day::varchar, n from core.counters") == [(DAY, 32)]
        done = connection.execute("select writer, round from core.done order by all")
    assert done == [(writer, number) for writer in range(4) for number in range(8)]


@pytest.mark.slow
def test_writers_of_different_days_are_not_refused(lake_settings: Callable[..., Settings]) -> None:
    settings = lake_settings()
    lake = lake_of(settings)
    with lake.connect("a test") as connection:
        writers.create(connection)
    processes = [
        writers.start(settings, "replace_rows", f"2024-01-{writer + 1:02d}", writer, range(6))
        for writer in range(4)
    ]
    writers.go(processes)
    printed = "".join(writers.outputs(processes))
    # Rows are only added, so no transaction is done twice.
    assert "because of a conflict" not in printed
    with lake.connect("a test") as connection:
        found = connection.execute(
            "select day::varchar, writer, count(*), count(distinct (round, i)) from core.facts "
            "group by all order by all"
        )
    every = 6 * writers.ROWS
    assert found == [(f"2024-01-{writer + 1:02d}", writer, every, every) for writer in range(4)]


@pytest.mark.slow
def test_many_first_loads_of_one_partition_leave_its_rows_once(
    lake_settings: Callable[..., Settings],
) -> None:
    """None of them finds rows to delete, so nothing but the claim keeps them apart."""
    settings = lake_settings()
    lake = lake_of(settings)
    with lake.connect("a test") as connection:
        writers.create(connection)
    processes = [writers.start(settings, "replace_rows", DAY, 1, range(5)) for _ in range(4)]
    writers.go(processes)
    writers.outputs(processes)
    with lake.connect("a test") as connection:
        found = connection.execute(
            "select round, count(*), count(distinct i) from core.facts group by 1 order by 1"
        )
        assert connection.execute("select round from core.done order by 1") == [
            (number,) for number in range(5)
        ]
    assert found == [(number, writers.ROWS, writers.ROWS) for number in range(5)]


@pytest.mark.slow
def test_killed_writers_leave_whole_transactions_only(lake_settings: Callable[..., Settings]) -> None:
    settings = lake_settings()
    lake = lake_of(settings)
    with lake.connect("a test") as connection:
        writers.create(connection)
    chance = random.Random(7)
    for _ in range(6):
        processes = [writers.start(settings, "replace_rows", DAY, writer, range(30)) for writer in range(3)]
        writers.go(processes)
        # Each is killed somewhere in its transactions; later rounds replace what earlier ones have written.
        for process in processes:
            time.sleep(chance.uniform(0.05, 0.6))
            process.kill()
            process.communicate()
    with lake.connect("a test") as connection:
        facts = connection.execute(
            "select writer, round, count(*), count(distinct i) from core.facts group by all order by all"
        )
        done = connection.execute("select writer, round from core.done order by all")
        assert [(writer, number) for writer, number, _, _ in facts] == done
        assert {(rows, distinct) for _, _, rows, distinct in facts} == {(writers.ROWS, writers.ROWS)}
        before = len(writers.files_of(settings))
        delete_files(connection, older_than=timedelta(0))
        # What killed writers left is gone; the rows are as before, read from files anew.
        assert len(writers.files_of(settings)) <= before
    with lake.connect("a test") as connection:
        assert facts == connection.execute(
            "select writer, round, count(*), count(distinct i) from core.facts group by all order by all"
        )
    # A new process goes on.
    (process,) = [writers.start(settings, "replace_rows", DAY, 0, range(2))]
    writers.go([process])
    assert "done 1" in writers.outputs([process])[0]
