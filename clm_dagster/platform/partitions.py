"""Daily and snapshot partitions, and which as_of a snapshot's key means.

Belongs here: the calendar. Does not: which partitions have data, or need work (see `planning`).
"""

from datetime import date, datetime, time, timedelta

import dagster as dg

from clm_dagster.settings import Settings

WEEK = timedelta(days=7)
# "Every day before" for a shop without an end. Dagster clips it at the first partition, and walks over
# every day of it at every step: longer costs seconds a run.
_LIVE_HISTORY_DAYS = 3_660


def monday_on_or_before(day: date) -> date:
    """The Monday on or before a day."""
    return day - timedelta(days=day.weekday())


def monday_on_or_after(day: date) -> date:
    """The Monday on or after a day."""
    return day + timedelta(days=-day.weekday() % 7)


def span(settings: Settings) -> tuple[date, date | None]:
    """First Monday and exclusive last Monday of both sets of partitions; None for an open shop."""
    end = settings.end_date
    return monday_on_or_before(settings.start_date), monday_on_or_after(end) if end else None


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition for each day: `2011-06-01` holds events in [2011-06-01, 2011-06-02)."""
    start, end = span(settings)
    return dg.DailyPartitionsDefinition(
        start_date=start.isoformat(),
        end_date=end.isoformat() if end else None,
        timezone=settings.timezone,
    )


def snapshot_partitions(settings: Settings) -> dg.WeeklyPartitionsDefinition:
    """One partition for each week, Monday to Monday; its key is the Monday it starts on."""
    start, end = span(settings)
    return dg.WeeklyPartitionsDefinition(
        start_date=start.isoformat(),
        end_date=end.isoformat() if end else None,
        timezone=settings.timezone,
        day_offset=1,
    )


def all_days_before(settings: Settings) -> dg.TimeWindowPartitionMapping:
    """A snapshot may use every day before its as_of."""
    start, end = span(settings)
    days = (end - start).days if end else _LIVE_HISTORY_DAYS
    return dg.TimeWindowPartitionMapping(start_offset=-days)


def as_of_of_key(key: str) -> datetime:
    """The instant a snapshot's key means: the end of the week that starts on it, 00:00."""
    return datetime.combine(parse_day(key) + WEEK, time.min)


def key_of_as_of(as_of: datetime) -> str:
    """The snapshot key whose as_of this is; the reverse of `as_of_of_key`."""
    return (as_of.date() - WEEK).isoformat()


def parse_day(text: str) -> date:
    """A partition key as a day. Raise ValueError that says what was expected."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no day; expected one like 2011-06-01") from error


def snapshot_keys(first_day: date, end_day: date) -> list[str]:
    """Keys of the snapshots whose weeks begin in [Monday on or before first_day, end_day)."""
    keys = []
    monday = monday_on_or_before(first_day)
    while monday < end_day:
        keys.append(monday.isoformat())
        monday += WEEK
    return keys


def days_between(start: date, end: date) -> list[date]:
    """Every day of [start, end)."""
    return [start + timedelta(days=n) for n in range((end - start).days)]
