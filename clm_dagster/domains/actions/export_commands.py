"""`clm export actions`: planned actions in the files and requests that tools take.

Belongs here: options and terminal output. Does not: the work itself (`exports`).
"""

from datetime import datetime
from pathlib import Path

import click

from clm_dagster.command_line import DATE, FOLDER, console, current_settings, day_of
from clm_dagster.domains.actions.exports.destinations import DESTINATIONS

_FILE = click.Path(path_type=Path, dir_okay=False)


def _export() -> click.Group:
    """Return the group. Its commands are no names of this module, which would make them commands of `clm`."""

    @click.group()
    def export() -> None:
        """Export planned actions to the tools that carry them out."""

    @export.command()
    @click.option("--to", "destination", required=True, type=click.Choice(list(DESTINATIONS)))
    @click.option("--as-of", type=DATE, help="The as_of of the plan; default: the newest.")
    @click.option("--out", type=FOLDER, help="Folder of the files; default: exports in the data folder.")
    @click.option(
        "--emails",
        type=_FILE,
        help="CSV file with customer_id and email, read for this export and not stored. mailchimp needs it.",
    )
    @click.option("--url", help="Of the webhook; write secrets as ${NAME}, an environment variable.")
    @click.option("--dry-run", is_flag=True, help="Show what would be sent. Change nothing.")
    def actions(
        destination: str,
        as_of: datetime | None,
        out: Path | None,
        emails: Path | None,
        url: str | None,
        dry_run: bool,
    ) -> None:
        """Export the difference of the planned actions to the last export: add, changed, remove."""
        from clm_dagster.domains.actions.exports.exporting import Request
        from clm_dagster.domains.actions.exports.running import export_actions, in_words, preview

        request = Request(destination, day_of(as_of), out, emails, url)
        settings = current_settings()
        if dry_run:
            done = preview(settings, request)
        else:
            with console.status(f"Exporting actions to {destination}"):
                done = export_actions(settings, request)
        console.print(in_words(done, dry_run), soft_wrap=True, highlight=False)

    return export


export = _export()
