"""A plan as a person reads it in the terminal, and as a program reads it.

Belongs here: words and columns. Does not: what is planned (`platform.planning`).
"""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clm_dagster.domains.ingest.sensors import LAND
from clm_dagster.platform.planning import Step
from clm_dagster.shop_run import Outlook

_MOST_FILES, _MOST_ASSETS = 3, 4


def render(outlook: Outlook) -> RenderableType:
    """A row for each run; or, in plain words, that there is nothing to do."""
    if not outlook.new_files and not outlook.plan.steps:
        return Text("Nothing to do: every file is landed and everything is up to date.")
    table = Table("job", "partitions", "assets", "why", box=None, header_style="bold", pad_edge=False)
    if outlook.new_files:
        names = [path.name for path in outlook.new_files]
        table.add_row(LAND, "", "landing.files", f"not landed yet: {_some(names, _MOST_FILES)}")
    for step in outlook.plan.steps:
        table.add_row(step.job, _partitions(step), _some(step.assets, _MOST_ASSETS), "\n".join(step.reasons))
    after = "Days that new files touch, and what follows from them, are planned once the files are landed."
    return Group(table, *([Text(f"\n{after}")] if outlook.new_files else []))


def as_dict(outlook: Outlook) -> dict[str, object]:
    """The same for a program: the files to land, and the runs in their order."""
    return {
        "new_files": [str(path) for path in outlook.new_files],
        "runs": [
            {
                "job": step.job,
                "first_partition": step.first or None,
                "last_partition": step.last or None,
                "assets": list(step.assets),
                "only_these_assets": step.only_assets,
                "why": list(step.reasons),
            }
            for step in outlook.plan.steps
        ],
    }


def _partitions(step: Step) -> str:
    return step.first if step.first == step.last else f"{step.first} to {step.last}"


def _some(names: list[str] | tuple[str, ...], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
