"""Output of `clm status`: a few rows for the terminal, a dict for programs.

Belongs here: texts. Does not: reading the state of a shop (`shop_status`).
"""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clm_dagster.plan_view import as_dict as plan_as_dict
from clm_dagster.plan_view import some
from clm_dagster.platform.partitions import as_of_of_key, snapshot_label
from clm_dagster.runner.stage_runs import span_of
from clm_dagster.shop_status import DUE, FAILING, OK, FailedCheck, RunState, Status

_STATES = {
    OK: ("ok", "everything is up to date", "bold green"),
    DUE: ("due", "`clm run` has work to do", "bold yellow"),
    FAILING: ("failing", "see below; the Dagster UI (`clm dev`) has the details", "bold red"),
}
_TITLE_WIDTH = 13
# How many names a line lists.
_MOST = 4


def render(status: Status) -> RenderableType:
    """Return a table of at most ten rows. Long rows are folded: no name is cut off."""
    name, text, style = _STATES[status.state]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold", min_width=_TITLE_WIDTH)
    table.add_column(overflow="fold")
    table.add_row(Text("status"), Text.assemble((name, style), f": {text}"))
    table.add_row(Text("data"), Text(_data(status)))
    fresh = status.tables - len(status.stale)
    table.add_row(Text("fresh"), Text(f"{fresh} of {status.tables} tables, views and seeds"))
    rows = {
        "stale": some(status.stale, _MOST),
        "due": _due(status),
        "waiting": status.preview.plan.waiting,
        "failed runs": some([f"{run.job} ({_how(run)}, {run.run_id})" for run in status.failed_runs], _MOST),
        "failed checks": some(_checks(status.failed_checks), _MOST),
        "warnings": some(_checks(check for check in status.checks if check.is_warning), _MOST),
        "last runs": ", ".join(f"{run.job} {_duration(run)}" for run in status.runs) or "none yet",
    }
    for title, value in rows.items():
        if value:
            table.add_row(Text(title), Text(value))
    return table


def as_dict(status: Status) -> dict[str, object]:
    """Return the status for programs."""
    key = status.last_snapshot
    end = status.preview.settings.end_date
    return {
        "status": status.state,
        "last_day": status.last_day or None,
        "last_snapshot": key or None,
        "last_as_of": str(as_of_of_key(key, end).date()) if key else None,
        "published_at": status.published_at.isoformat() if status.published_at else None,
        "tables": status.tables,
        "stale": list(status.stale),
        "due": plan_as_dict(status.preview),
        "failed_checks": [
            {"asset": each.asset, "check": each.check, "severity": "WARN" if each.is_warning else "ERROR"}
            for each in status.checks
        ],
        "last_runs": [
            {
                "job": run.job,
                "run_id": run.run_id,
                "status": run.status.value,
                "is_killed": run.is_killed,
                "started_at": run.started_at.isoformat() if run.started_at else None,
                "seconds": run.seconds,
            }
            for run in status.runs
        ],
    }


def _data(status: Status) -> str:
    settings = status.preview.settings
    if not status.last_day:
        return "nothing is loaded yet"
    key = status.last_snapshot
    snapshot = f"snapshots to {snapshot_label(key, settings.end_date)}" if key else "no snapshot yet"
    at = status.published_at
    published = f"{at.astimezone(settings.zone):%Y-%m-%d %H:%M}" if at else "never"
    return f"days to {status.last_day}; {snapshot}; published {published}"


def _due(status: Status) -> str:
    preview = status.preview
    files = len(preview.new_files)
    parts = [f"{files} new file{'s' if files != 1 else ''}"] if files else []
    parts += [
        f"{step.job} {span_of([step], preview.settings.end_date)}".strip() for step in preview.plan.steps
    ]
    return some(parts, _MOST)


def _checks(checks: Iterable[FailedCheck]) -> list[str]:
    return [f"{check.check} of {check.asset}" for check in checks]


def _how(run: RunState) -> str:
    return "its process was killed" if run.is_killed else "failed"


def _duration(run: RunState) -> str:
    if run.is_running:
        return "is running"
    if run.seconds is None:
        return "did not start" if run.started_at is None else "did not end"
    seconds = round(run.seconds)
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
