"""`clm`, the command line: thin, everything it does is a Dagster run that the UI shows.

Belongs here: words, colours, options. Does not: work.
"""

import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from clm_dagster.settings import PROJECT_DIR, Settings, SettingsError, load_settings, origins

console = Console()
errors = Console(stderr=True)
_DATE = click.DateTime(formats=["%Y-%m-%d"])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clm-dagster")
def cli() -> None:
    """Customer lifecycle management for e-commerce, as a Dagster project on DuckDB."""


def main() -> None:
    """Run the command line; an error that a person can mend is a message, not a traceback."""
    from clm_dagster.ingest.errors import InputError
    from clm_dagster.runs import RunFailedError
    from clm_dagster.sql_models.yaml_lines import ProjectError
    from clm_dagster.warehouse import WarehouseBusyError

    try:
        cli()
    except (SettingsError, InputError, ProjectError, RunFailedError, WarehouseBusyError) as error:
        errors.print(Panel(str(error), title="[bold red]clm cannot go on", border_style="red"), markup=False)
        sys.exit(1)


@cli.command()
@click.option("--source", help="The shop's adapter. [setting: CLM_SOURCE]")
@click.option("--input", "given", help="File, folder or glob of the shop's files. [setting: CLM_INPUT]")
@click.option("--start-date", type=_DATE, help="First day of the history. [setting: CLM_START_DATE]")
@click.option("--end-date", type=_DATE, help="Exclusive end of the history. [setting: CLM_END_DATE]")
def run(
    source: str | None, given: str | None, start_date: datetime | None, end_date: datetime | None
) -> None:
    """Bring the shop up to date: land new files, run what is stale, publish, sum up."""
    _choose(source, given, start_date, end_date)
    settings = load_settings()
    from clm_dagster.runs import Progress as Step
    from clm_dagster.shop_run import run_shop
    from clm_dagster.summary import read_summary, render

    with Progress(
        SpinnerColumn(), TextColumn("{task.description:<38}"), BarColumn(30), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("[dim]{task.fields[step]}"), console=console,
    ) as progress:  # fmt: skip

        def begin(title: str, total: int) -> Step:
            for task in progress.tasks:
                progress.update(task.id, completed=task.total, step="")
            current = progress.add_task(title, total=total, step="")
            reached: dict[str, int] = {}

            def step(name: str, done: int) -> None:
                reached[name] = done
                progress.update(current, completed=sum(reached.values()), step=name)

            return step

        report = run_shop(settings, begin)
        for task in progress.tasks:
            progress.update(task.id, completed=task.total, step="")
    if report.dead_runs:
        console.print(f"{len(report.dead_runs)} run(s) of a killed process were closed as failed.")
    if len(report.runs) == 1:
        console.print("Nothing new: everything is up to date.")
    console.print(render(read_summary(report.settings), report.settings))


@cli.command()
def summary() -> None:
    """Show what is in the published copy: the ledger, customers, revenue, segments."""
    from clm_dagster.summary import read_summary, render

    settings = load_settings()
    console.print(render(read_summary(settings), settings))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True)
def dev(host: str, port: int) -> None:
    """Open the Dagster UI on the shop of the last run, with the schedules and sensors."""
    from clm_dagster.runs import prepare_home

    prepare_home(load_settings())
    os.chdir(PROJECT_DIR)
    command = Path(sys.executable).with_name("dg")
    os.execv(command, [str(command), "dev", "--host", host, "--port", str(port)])


@cli.command()
def settings() -> None:
    """Print every setting: its value, where it came from, what it is."""
    current = load_settings()
    came_from = origins(current)
    table = Table("setting", "value", "from", "what it is", box=None, header_style="bold", pad_edge=False)
    for name, info in Settings.model_fields.items():
        value = getattr(current, name)
        table.add_row(
            f"CLM_{name.upper()}",
            "" if value is None else str(value),
            came_from[name],
            info.description or "",
        )
    console.print(table)


def _choose(source: str | None, given: str | None, start: datetime | None, end: datetime | None) -> None:
    """Options are settings: put them where every part of the program, and its children, read them."""
    options: dict[str, Any] = {
        "CLM_SOURCE": source,
        # Kept for later runs, which may be started elsewhere.
        "CLM_INPUT": str(Path(given).expanduser().resolve()) if given else None,
        "CLM_START_DATE": _day(start),
        "CLM_END_DATE": _day(end),
    }
    os.environ.update({name: value for name, value in options.items() if value is not None})


def _day(value: datetime | None) -> str | None:
    day: date | None = value.date() if value else None
    return day.isoformat() if day else None
