"""What is late: the days, weeks, models and scores that should have been published for hours."""

from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from clm_dagster.platform.alerts.problems import Problem
from clm_dagster.platform.alerts.stale import StaleReader
from clm_dagster.settings import Settings
from clm_dagster_tests.platform.alerts.shop import WatchedShop

ZONE = ZoneInfo("Europe/London")
# A Wednesday; the week from Monday 2024-01-29 is over on the 5th.
LAST = date(2024, 2, 7)


@pytest.fixture
def shop_for(settings_for: Callable[..., Settings], instance: object) -> Callable[..., WatchedShop]:
    return lambda **given: WatchedShop(settings_for(**{"end_date": None} | given), instance)  # type: ignore[arg-type]


def late(shop: WatchedShop, at: str) -> Problem | None:
    found = StaleReader(shop.alerts.watched).find(datetime.fromisoformat(at).replace(tzinfo=ZONE))
    return found.open[0] if found.open else None


def test_days_are_late_after_the_set_hours_and_an_error_after_twice_of_them(
    shop_for: Callable[..., WatchedShop],
) -> None:
    shop = shop_for()
    assert late(shop, "2024-02-20") is None, "nothing was ever published"
    shop.publish(LAST, scored="2024-01-29", trained="2024-01-29")
    # The 8th ends at midnight; 36 hours later is the 10th, 12:00.
    assert late(shop, "2024-02-10 11:59") is None
    problem = late(shop, "2024-02-10 12:00")
    assert problem is not None
    assert problem.title == "No new data: the newest published day is Wednesday 2024-02-07"
    assert (problem.level, problem.since) == ("warning", datetime(2024, 2, 10, 12, tzinfo=ZONE))
    error = late(shop, "2024-02-12")
    assert error is not None and (error.level, error.key, error.since) == (
        "error",
        problem.key,
        problem.since,
    )
    shop = shop_for(alert_stale_hours=100)
    assert late(shop, "2024-02-12") is None and late(shop, "2024-02-13 04:00") is not None
    assert late(shop_for(alert_stale_hours=0), "2025-01-01") is None


def test_nothing_is_late_in_a_closed_shop(shop_for: Callable[..., WatchedShop]) -> None:
    shop = shop_for(end_date="2024-03-01")
    shop.publish(LAST)
    assert late(shop, "2025-01-01") is None


@pytest.mark.parametrize(
    ("built", "title", "job"),
    [
        (
            {"snapshots": False},
            "Late: snapshots 2024-01-29 (as_of 2024-02-05) are not published",
            "snapshots",
        ),
        ({"scored": "2024-01-22"}, "Late: scores 2024-01-29 (as_of 2024-02-05) are not published", "scores"),
        ({"scored": "2024-01-29", "trained": "2023-10-02"}, "Late: models of ", "models"),
        ({"scored": "2024-01-29"}, "", ""),
    ],
)
def test_only_the_first_thing_that_is_late_is_told(
    built: dict[str, object], title: str, job: str, shop_for: Callable[..., WatchedShop]
) -> None:
    shop = shop_for(train_count=1)
    shop.publish(LAST, **built)  # type: ignore[arg-type]
    assert (late(shop, "2024-02-06 11:59") is None) == (job in ("scores", ""))
    problem = late(shop, "2024-02-08 03:00")
    assert (problem.title[: len(title)], problem.fields["job"]) == (title, job) if problem else not title


def test_late_data_is_told_and_solved_through_the_channels(shop_for: Callable[..., WatchedShop]) -> None:
    from clm_dagster_tests.platform.alerts.servers import web_server

    with web_server() as web:
        shop = shop_for(alert_urls=web.url(), train_count=0)
        shop.publish(LAST, scored="2024-01-29")
        shop.clock = datetime(2024, 2, 10, 11, tzinfo=ZONE)
        shop.look()
        shop.look(hours=1)
        shop.look(hours=36)
        shop.publish(date(2024, 2, 11), scored="2024-02-05")
        shop.look()
        news = [(a["news"], a["level"]) for body in web.taken for a in body["alerts"]]
    assert news == [("new", "warning"), ("worse", "error"), ("solved", "error")]
