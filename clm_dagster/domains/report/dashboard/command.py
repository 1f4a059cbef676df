"""The group of commands `clm dashboard`.

Belongs here: options and terminal output. Does not: files (`project`) and data (`data`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clm_dagster.command_line import FOLDER, console, current_settings

if TYPE_CHECKING:  # late, so that --help is fast
    from clm_dagster.domains.report.dashboard.data import Refreshed

_OUT = click.option(
    "--out", type=FOLDER, default=Path("dashboard"), show_default=True, help="Folder of the project."
)


@click.group()
def dashboard() -> None:
    """Write a dashboard of ten pages as a project for Evidence (npm), and renew its data."""


@dashboard.command()
@_OUT
@click.option(
    "--force", is_flag=True, help="Write again the files of an earlier `init` that nobody has edited."
)
def init(out: Path, force: bool) -> None:
    """Write the project, with the data of the published copy."""
    from clm_dagster.domains.report.dashboard.data import refresh_data
    from clm_dagster.domains.report.dashboard.project import write_project
    from clm_dagster.platform.publish.publishing import last_published

    settings = current_settings()
    written = write_project(out, force)
    console.print(f"Wrote {written} files to {out}.", soft_wrap=True, highlight=False)
    if last_published(settings) is not None:
        _say(refresh_data(settings, out))
    else:
        console.print(
            f"Nothing has been published yet: after `clm run`, `clm dashboard refresh --out {out}` adds the data.",
            soft_wrap=True,
            highlight=False,
        )
    console.print(
        f"Next, with Node.js 18 or newer: cd {out} && npm install && npm run sources && npm run dev",
        soft_wrap=True,
        highlight=False,
    )


@dashboard.command()
@_OUT
def refresh(out: Path) -> None:
    """Compute the tables of the project again from the published copy."""
    from clm_dagster.domains.report.dashboard.data import refresh_data

    _say(refresh_data(current_settings(), out))


def _say(done: "Refreshed") -> None:
    console.print(f"Data of {done.as_of:%Y-%m-%d}: {len(done.rows)} tables.", soft_wrap=True, highlight=False)
    empty = [name for name, rows in done.rows.items() if not rows]
    if empty:
        console.print(
            f"Without rows, so their places on the pages say so: {', '.join(empty)}.",
            soft_wrap=True,
            highlight=False,
        )
