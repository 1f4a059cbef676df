"""Output of `clm plan`: a table for the terminal, a dict for programs.

Belongs here: texts and columns. Does not: planning (`platform.planning`).
"""

from collections.abc import Sequence
from datetime import date

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clm_dagster.domains.ingest.sensors import LAND
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.planning import Step
from clm_dagster.runner.stage_runs import span_of
from clm_dagster.shop_run import RunPreview

_MAX_FILES, _MAX_ASSETS = 3, 4


def render(preview: RunPreview) -> RenderableType:
    """Return a table with one row per run, or a message that there is nothing to do."""
    waiting = [Text(f"\n{preview.plan.waiting}")] if preview.plan.waiting else []
    if not preview.new_files and not preview.plan.steps:
        return Group(Text("Nothing to do: all files are landed and everything is up to date."), *waiting)
    table = Table("job", "partitions", "assets", "why", box=None, header_style="bold", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # a long name is broken into two lines, and not cut off
    if preview.new_files:
        names = [path.name for path in preview.new_files]
        table.add_row(LAND, "", "landing.files", f"not landed yet: {some(names, _MAX_FILES)}")
    for step in preview.plan.steps:
        table.add_row(
            step.job,
            span_of([step], preview.settings.end_date),
            some(step.assets, _MAX_ASSETS),
            "\n".join(step.reasons),
        )
    note = "Days affected by new files, and everything downstream, are planned after the files are landed."
    return Group(table, *([Text(f"\n{note}")] if preview.new_files else []), *waiting)


def as_dict(preview: RunPreview) -> dict[str, object]:
    """Return the plan for programs: the files to land, and the runs in order."""
    return {
        "new_files": [str(path) for path in preview.new_files],
        "runs": [
            {
                "job": step.job,
                "first_partition": step.first or None,
                "last_partition": step.last or None,
                "first_as_of": _as_of(step, step.first, preview.settings.end_date),
                "last_as_of": _as_of(step, step.last, preview.settings.end_date),
                "assets": list(step.assets),
                "only_these_assets": step.only_assets,
                "why": list(step.reasons),
            }
            for step in preview.plan.steps
        ],
        "waiting": preview.plan.waiting or None,
    }


def _as_of(step: Step, key: str, end_date: date | None) -> str | None:
    return str(as_of_of_key(key, end_date).date()) if step.is_of_snapshots else None


def some(names: Sequence[str], limit: int) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
