"""Daily and snapshot partitions, and the as_of of a snapshot key.

Belongs here: the calendar. Does not: which partitions have data, or have to run (`planning`).
"""

from datetime import date, datetime, time, timedelta

import dagster as dg

from clm_dagster.settings import Settings

WEEK = timedelta(days=7)
# Length of the history of a shop without an end date. Dagster clips it at the first partition, but iterates over all
# of its days at every step: a longer history adds seconds to each run.
_LIVE_HISTORY_DAYS = 3_660


def monday_on_or_before(day: date) -> date:
    """Return the Monday on or before a day."""
    return day - timedelta(days=day.weekday())


def monday_on_or_after(day: date) -> date:
    """Return the Monday on or after a day."""
    return day + timedelta(days=-day.weekday() % 7)


def span(settings: Settings) -> tuple[date, date | None]:
    """Return the first Monday and the exclusive last Monday of all partitions; None where there is no end date."""
    end = settings.end_date
    return monday_on_or_before(settings.start_date), monday_on_or_after(end) if end else None


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Return the daily partitions. `2011-06-01` covers events in [2011-06-01, 2011-06-02)."""
    start, end = span(settings)
    return dg.DailyPartitionsDefinition(
        start_date=start.isoformat(),
        end_date=end.isoformat() if end else None,
        timezone=settings.timezone,
    )


def snapshot_partitions(settings: Settings) -> dg.WeeklyPartitionsDefinition:
    """Return the weekly partitions, Monday to Monday. The key is the Monday on which the week starts."""
    start, end = span(settings)
    return dg.WeeklyPartitionsDefinition(
        start_date=start.isoformat(),
        end_date=end.isoformat() if end else None,
        timezone=settings.timezone,
        day_offset=1,
    )


def all_days_before(settings: Settings) -> dg.TimeWindowPartitionMapping:
    """Return the partition mapping from a snapshot to every day before its as_of."""
    start, end = span(settings)
    days = (end - start).days if end else _LIVE_HISTORY_DAYS
    return dg.TimeWindowPartitionMapping(start_offset=-days)


def as_of_of_key(key: str) -> datetime:
    """Return the as_of of a snapshot key: midnight at the end of the week that starts on it."""
    return datetime.combine(parse_day(key) + WEEK, time.min)


def key_of_as_of(as_of: datetime) -> str:
    """Return the snapshot key of an as_of; the inverse of `as_of_of_key`."""
    return (as_of.date() - WEEK).isoformat()


def parse_day(text: str) -> date:
    """Parse a partition key. Raise ValueError if it is not a date."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date; expected a date like 2011-06-01") from error


def snapshot_keys(first_day: date, end_day: date) -> list[str]:
    """Return the snapshot keys whose weeks start in [Monday on or before first_day, end_day)."""
    keys = []
    monday = monday_on_or_before(first_day)
    while monday < end_day:
        keys.append(monday.isoformat())
        monday += WEEK
    return keys


def days_between(start: date, end: date) -> list[date]:
    """Return every day in [start, end)."""
    return [start + timedelta(days=n) for n in range((end - start).days)]
