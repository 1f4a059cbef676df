"""The command of the domain, as `clm` finds it.

Belongs here: options and terminal output. Does not: the work itself (`running`).
"""

import click

from clm_dagster.command_line import console, current_settings
from clm_dagster.terminal import run_progress


@click.command()
@click.option("--to", "destination", help="Name of one destination of CLM_PUBLISH_TO; default: all.")
@click.option("--full", is_flag=True, help="Send every row again, also what the destination has.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent. Change nothing.")
def publish(destination: str | None, full: bool, dry_run: bool) -> None:
    """Publish the tables for users to the databases of CLM_PUBLISH_TO. `clm run` does this, too."""
    from clm_dagster.domains.warehouses.running import as_table, in_words, preview
    from clm_dagster.domains.warehouses.running import publish as run_publication

    settings = current_settings()
    if not dry_run:
        with run_progress(console) as progress:
            done = run_publication(settings, destination, full, progress.begin)
    else:
        done = list(preview(settings, destination, full))
    for result in done:
        console.print(in_words(result, dry_run), soft_wrap=True, highlight=False)
        if result.tables:
            console.print(as_table(result))


__all__ = ["publish"]
