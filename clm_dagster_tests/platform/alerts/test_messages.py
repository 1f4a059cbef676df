"""How a message reads: what is wrong, since when, what to do, a link; the worst first; never too long."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.alerts.memory import Episode, Notice
from clm_dagster.platform.alerts.messages import message_of
from clm_dagster.platform.alerts.problems import Problem
from clm_dagster.settings import Settings
from clm_dagster.shop_alerts import alerts_of

AT = datetime(2024, 7, 1, 5, tzinfo=UTC)


def notice(
    number: int, news: str = "new", level: str = "warning", detail: str = "why", **more: str
) -> Notice:
    problem = Problem(
        key=f"k{number}",
        kind=more.pop("kind", "failed_check"),
        level=level,
        title=f"title {number}",
        detail=detail,
        since=AT + timedelta(minutes=number),
        action="do this.",
        path="/assets/a",
        fields=more,
    )
    ended = AT + timedelta(hours=1) if news in ("solved", "brief") else None
    return Notice(Episode(f"e{number}", problem, ended), news)


def test_one_problem(settings: Settings) -> None:
    message = message_of(settings, "demo", [notice(1, level="error", detail="a\n\n  b   c")])
    assert message.text == (
        "clm_dagster demo: title 1\n\n"
        "ERROR: title 1\n"
        "a\nb c\n"
        "Since Mon 2024-07-01 06:01 BST.\nWhat to do: do this.\n"
        "http://127.0.0.1:3000/assets/a"
    )


def test_the_worst_comes_first_and_what_is_solved_last(settings: Settings) -> None:
    notices = [
        notice(1, "solved", "error"),
        notice(2, "still", "error"),
        notice(3),
        notice(4, "brief"),
        notice(5, "worse", "error"),
    ]
    message = message_of(settings, "demo", notices)
    assert message.subject == "clm_dagster demo: 1 error, 1 warning, 1 still there, 1 solved, 1 over by now"
    found = [line for line in message.text.splitlines() if ": title" in line]
    assert found == [
        "ERROR, now worse: title 5",
        "WARNING: title 3",
        "WARNING, over by now: title 4",
        "ERROR, still there: title 2",
        "SOLVED: title 1",
    ]
    assert message.fields["level"] == "error"


def test_a_long_list_is_counted(settings: Settings) -> None:
    message = message_of(settings, "demo", [notice(n, detail="x" * 2_000) for n in range(22)])
    assert message.text.count("title") < 10 and len(message.text) < 3_600
    shown = message.text.count("WARNING")
    assert f"... and {22 - shown} more: {22 - shown} warnings\nhttp://127.0.0.1:3000" in message.text
    alerts = message.fields["alerts"]
    assert isinstance(alerts, list) and len(alerts) == 22


def test_fields_of_a_run_are_at_the_top_only_where_it_is_the_only_entry(settings: Settings) -> None:
    run = notice(1, kind="failed_run", job="daily", run_id="r", partition="", error="e")
    assert message_of(settings, "demo", [run]).run == {
        "job": "daily",
        "run_id": "r",
        "partition": "",
        "error": "e",
    }
    assert message_of(settings, "demo", [run, notice(2)]).run == {}


def test_a_lost_gate_drift_and_rejected_rows_are_checks_with_words_of_their_own(
    settings_for: Callable[..., Settings],
) -> None:
    # A shop that publishes elsewhere has the checks of that, too.
    watched = alerts_of(settings_for(publish_to="office=postgresql://clm@127.0.0.1/clm")).watched
    names = {key.name for key in watched.checks}
    assert set(watched.headlines) <= names
    starts = {headline.title.split(":")[0] for headline in watched.headlines.values()}
    assert starts >= {"Lost gate", "Drift", "Rejected share"}
    trained = {".".join(k.asset_key.path) for k in watched.checks if k.name == "champion_gate"}
    # Personas are groups: there is no baseline to beat.
    assert trained == {t.relation for t in watched.tables if t.is_trained} - {"models.persona_model"}


@pytest.mark.parametrize("url", ["", "https://hooks.example/T0KEN"])
def test_the_sensor_runs_by_default_where_a_channel_is_set(url: str, settings: Settings) -> None:
    (sensor,) = [
        s
        for s in build_definitions(settings.replace(webhook_url=url)).get_repository_def().sensor_defs
        if s.name == "alerts"
    ]
    assert sensor.default_status.value == ("RUNNING" if url else "STOPPED")
    assert "T0KEN" not in (sensor.description or "")
