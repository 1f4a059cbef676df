"""The calendar: keys, the as_of of a key, and the days that a snapshot uses."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_dagster.platform.partitions import (
    all_days_before,
    as_of_of_key,
    daily_partitions,
    days_between,
    days_lacking,
    key_of_as_of,
    monday_on_or_after,
    monday_on_or_before,
    parse_day,
    snapshot_keys,
    snapshot_label,
    snapshot_partitions,
    span,
    why_waiting,
)
from clm_dagster.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("last", "end", "label"),
    [
        ("", None, "2011-11-28 (as_of 2011-12-05)"),
        ("2011-11-28", None, "2011-11-28 (as_of 2011-12-05)"),
        ("2011-12-05", None, "2011-11-28 to 2011-12-05 (as_of 2011-12-05 to 2011-12-12)"),
        ("", date(2011, 12, 1), "2011-11-28 (as_of 2011-12-01)"),
    ],
)
def test_a_label_has_keys_and_as_ofs(last: str, end: date | None, label: str) -> None:
    assert snapshot_label("2011-11-28", end, last) == label


def test_online_retail_ii_spans_two_years_from_monday_to_monday() -> None:
    settings = load_settings(source="online_retail_ii")
    assert span(settings) == (date(2009, 11, 30), date(2011, 12, 12))
    days, weeks = (
        daily_partitions(settings).get_partition_keys(),
        snapshot_partitions(settings).get_partition_keys(),
    )
    assert (len(days), days[0], days[-1]) == (742, "2009-11-30", "2011-12-11")
    # The week of 5 December is cut short by the end of the data, so it has no snapshot.
    assert (len(weeks), weeks[0], weeks[-1]) == (105, "2009-11-30", "2011-11-28")
    assert as_of_of_key(weeks[-1], settings.end_date) == datetime(2011, 12, 5)


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)))
def test_mondays_around_a_day(day: date) -> None:
    before, after = monday_on_or_before(day), monday_on_or_after(day)
    assert before.weekday() == after.weekday() == 0
    assert before <= day <= after
    assert after - before == timedelta(days=0 if day.weekday() == 0 else 7)


@given(st.dates(date(2000, 1, 3), date(2030, 1, 1)).map(monday_on_or_before))
def test_key_and_as_of_are_inverse(monday: date) -> None:
    key = monday.isoformat()
    assert as_of_of_key(key, None) == datetime(monday.year, monday.month, monday.day) + timedelta(days=7)
    assert key_of_as_of(as_of_of_key(key, None)) == key


def test_windows_match_dagsters(settings_for: Callable[..., Settings]) -> None:
    for zone in ("UTC", "Europe/London", "America/New_York", "Asia/Kolkata"):
        weeks = snapshot_partitions(settings_for(timezone=zone))
        for key in ("2024-01-01", "2024-02-26"):
            window = weeks.time_window_for_partition_key(key)
            assert window.end.replace(tzinfo=None) == as_of_of_key(key, None)
            assert window.start.replace(tzinfo=None) == datetime.combine(parse_day(key), datetime.min.time())


def test_an_open_shop_has_all_days_that_have_ended(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(end_date=None)
    now = datetime(2024, 1, 17, 3, tzinfo=settings.zone)
    assert daily_partitions(settings).get_partition_keys(current_time=now)[-1] == "2024-01-16"
    assert snapshot_partitions(settings).get_partition_keys(current_time=now)[-1] == "2024-01-08"


def test_days_of_a_daylight_saving_change_are_days(settings_for: Callable[..., Settings]) -> None:
    keys = daily_partitions(settings_for(start_date="2024-03-25", end_date="2024-04-08")).get_partition_keys()
    assert keys == [day.isoformat() for day in days_between(date(2024, 3, 25), date(2024, 4, 8))]


@pytest.mark.parametrize("end", ["2024-03-01", None])
def test_a_snapshot_depends_on_every_day_before_its_as_of(
    end: str | None, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for(end_date=end)
    days, weeks = daily_partitions(settings), snapshot_partitions(settings)
    found = (
        all_days_before(settings)
        .get_upstream_mapped_partitions_result_for_partitions(
            weeks.subset_with_partition_keys(["2024-01-15"]), weeks, days
        )
        .partitions_subset.get_partition_keys()
    )
    assert list(found) == [day.isoformat() for day in days_between(date(2024, 1, 1), date(2024, 1, 22))]


def test_snapshot_keys_of_some_days() -> None:
    assert snapshot_keys(date(2024, 1, 3), date(2024, 1, 16)) == ["2024-01-01", "2024-01-08", "2024-01-15"]
    assert snapshot_keys(date(2024, 1, 8), date(2024, 1, 15)) == ["2024-01-08"]


@given(st.dates(date(2024, 1, 1), date(2024, 2, 29)), st.integers(1, 90))
def test_no_as_of_lies_past_the_end_of_a_closed_shop(start: date, length: int) -> None:
    end = start + timedelta(days=length)
    settings = load_settings(source="generic", start_date=str(start), end_date=str(end))
    keys = snapshot_partitions(settings).get_partition_keys()
    as_ofs = [as_of_of_key(key, end).date() for key in keys]
    assert as_ofs and start < as_ofs[0] and as_ofs[-1] <= end
    assert [key_of_as_of(datetime.combine(day, time.min)) for day in as_ofs] == keys
    # Whole weeks, unless there is none.
    assert all(day.weekday() == 0 for day in as_ofs) or as_ofs == [end]
    assert (end - as_ofs[-1]).days < 7


def test_a_snapshot_lacks_the_days_between_the_newest_event_and_its_as_of(
    settings_for: Callable[..., Settings],
) -> None:
    live = settings_for(end_date=None)
    ends = [date(2024, 1, day) for day in (5, 7, 8, 9)]
    assert [days_lacking("2024-01-01", end, live) for end in ends] == [3, 1, 0, 0]
    assert why_waiting("2024-01-01", date(2024, 1, 8), live) == ""
    assert why_waiting("2024-01-01", date(2024, 1, 7), live) == (
        "Of the snapshot 2024-01-01 (as_of 2024-01-08), the last day has no events yet: the newest event is of "
        "2024-01-06. It waits for events of 2024-01-07 or later."
    )
    assert "the last 3 days have no events yet" in why_waiting("2024-01-01", date(2024, 1, 5), live)


def test_the_last_snapshot_of_a_closed_shop_lacks_no_day_once_its_week_has_data(
    settings_for: Callable[..., Settings],
) -> None:
    closed = settings_for(end_date="2024-01-15")
    assert days_lacking("2024-01-08", date(2024, 1, 13), closed) == 0
    assert days_lacking("2024-01-08", date(2024, 1, 8), closed) == 7
    assert days_lacking("2024-01-01", date(2024, 1, 6), closed) == 2  # more may be delivered


def test_an_invalid_day_is_an_error() -> None:
    with pytest.raises(ValueError, match="'2011-6-1' is not a date; expected a date like 2011-06-01"):
        parse_day("2011-6-1")
