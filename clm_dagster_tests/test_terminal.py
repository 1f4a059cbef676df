"""Progress: bars in a terminal, lines with a time in a log."""

import io
import re

from rich.console import Console

from clm_dagster.terminal import run_progress


def test_a_log_gets_a_line_at_both_ends_of_a_run_and_no_bars() -> None:
    log = io.StringIO()
    with run_progress(Console(file=log, width=60)) as progress:
        step = progress.begin("Days", 1_000)
        step("raw/events", 400)
        progress.say("Segments are published in a folder with a long name, which is not broken into lines")
        progress.begin("Models", 2)
    lines = log.getvalue().splitlines()
    times = [re.sub(r"^\d\d:\d\d:\d\d  |\d+ s$", "", line) for line in lines]
    assert times == [
        "Days: 1,000 to do",
        "Days: done in ",
        "Segments are published in a folder with a long name, which is not broken into lines",
        "Models: 2 to do",
        "Models: done in ",
    ]
    assert sum(bool(re.match(r"\d\d:\d\d:\d\d  ", line)) for line in lines) == 4


def test_a_terminal_gets_bars() -> None:
    screen = io.StringIO()
    with run_progress(Console(file=screen, force_terminal=True, width=120)) as progress:
        progress.begin("Days", 10)("raw/events", 4)
        progress.begin("Models", 2)("models/churn_model", 1)
    shown = screen.getvalue()
    assert "Days" in shown and "10/10" in shown and "2/2" in shown
    assert "to do" not in shown
