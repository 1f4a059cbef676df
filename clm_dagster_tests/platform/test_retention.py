"""Which snapshots are kept: all, or after some days the first of each month and what trainings and grades read."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.partitions import parse_day, snapshot_keys
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.retention import kept_snapshots, unbroken
from clm_dagster.settings import Settings, SettingsError

YEARS = snapshot_keys(date(2018, 1, 1), date(2023, 12, 25))


@pytest.fixture
def tables(settings: Settings) -> list[AnyTable]:
    shop = Shop.open(settings)
    return tables_of(build_domains(shop), shop.project)


def test_all_are_kept_by_default(settings: Settings, tables: list[AnyTable]) -> None:
    assert kept_snapshots(YEARS, tables, settings) == YEARS


def test_older_ones_are_kept_once_a_month(
    settings_for: Callable[..., Settings], tables: list[AnyTable]
) -> None:
    settings = settings_for(end_date=None, keep_snapshots="monthly", train_count=0)
    kept = kept_snapshots(YEARS, tables, settings)
    newest = parse_day(YEARS[-1])
    assert {key for key in YEARS if newest - parse_day(key) <= timedelta(days=365)} <= set(kept)
    months: dict[str, list[str]] = {}
    for key in kept:
        as_of = parse_day(key) + timedelta(days=7)
        months.setdefault(f"{as_of:%Y-%m}", []).append(key)
    old = [month for month in months if "2018-02" <= month < "2022-11"]
    assert len(old) == 57 and all(1 <= len(months[month]) <= 2 for month in old)
    # Besides the first of a month, those whose cut-offs hold: every 13th week.
    extra = sum(len(months[month]) - 1 for month in old)
    assert 10 <= extra <= 20
    # A snapshot that is kept now was kept before, too: nothing has to be built again.
    for count in range(1, len(YEARS)):
        earlier = kept_snapshots(YEARS[:count], tables, settings)
        assert set(kept) & set(YEARS[:count]) <= set(earlier)


@pytest.mark.parametrize("days", ["30", "monthly"])
def test_what_trainings_read_is_kept_until_no_training_is_due(
    settings_for: Callable[..., Settings], tables: list[AnyTable], days: str
) -> None:
    settings = settings_for(end_date=None, keep_snapshots=days, train_count=3)
    stored: set[str] = set()
    for count in range(1, len(YEARS) + 1):
        keys = YEARS[:count]
        kept = set(kept_snapshots(keys, tables, settings))
        stored = (stored | {keys[-1]}) & kept
        assert stored == kept  # nothing that is kept has been deleted before
        monday = parse_day(keys[-1])
        if monday.toordinal() // 7 % settings.train_every_weeks == 0:
            for table in tables:
                wanted = set(table.earlier_keys(keys[-1])) if table.is_trained else set()
                assert wanted & set(keys) <= stored


def test_ranges_never_lead_over_a_snapshot_that_is_not_kept() -> None:
    assert unbroken(["2024-01-15", "2024-01-01", "2024-01-08", "2024-01-29"]) == [
        ["2024-01-01", "2024-01-08", "2024-01-15"],
        ["2024-01-29"],
    ]


@pytest.mark.parametrize("value", ["weekly", "0", "-3", "1.5", ""])
def test_another_retention_is_refused(settings_for: Callable[..., Settings], value: str) -> None:
    with pytest.raises(SettingsError, match="expected all, monthly or a number of days"):
        settings_for(keep_snapshots=value)
