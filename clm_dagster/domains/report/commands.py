"""The commands of the domain, as `clm` finds them.

Belongs here: options and terminal output. Does not: the page (`writing`), the request (`posting`).
"""

import webbrowser
from datetime import datetime
from pathlib import Path

import click

from clm_dagster.command_line import DATE, console, current_settings, day_of
from clm_dagster.domains.report.dashboard.command import dashboard as dashboard


@click.command()
@click.option(
    "--as-of", type=DATE, help="The as_of of the page, a Monday with a snapshot; default: the newest."
)
@click.option("--language", help="Language in which it opens; default: the setting CLM_REPORT_LANGUAGE.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write instead of the one in the data folder.",
)
@click.option("--no-open", is_flag=True, help="Only write the page.")
@click.option(
    "--post",
    "url",
    metavar="URL",
    help="Post the headlines to this webhook of a chat program instead; ${NAME} is an environment variable.",
)
@click.option(
    "--customer",
    "pseudonym",
    metavar="PSEUDONYM",
    help="Only print the id of the customer with this pseudonym on the page.",
)
def report(
    as_of: datetime | None,
    language: str | None,
    out: Path | None,
    no_open: bool,
    url: str | None,
    pseudonym: str | None,
) -> None:
    """Write the page for marketers and open it in the browser, or post its headlines."""
    if pseudonym is not None:
        if url is not None or out is not None or as_of is not None:
            raise click.UsageError("--customer only looks up a pseudonym; leave out other options")
        from clm_dagster.domains.report.pseudonyms import customers_of

        for customer_id in customers_of(current_settings(), pseudonym):
            click.echo(customer_id)
        return
    if url is not None:
        if out is not None:
            raise click.UsageError("--post sends the headlines and writes no page; leave out --out")
        from clm_dagster.domains.report.posting import post

        posted = post(current_settings(), url, day_of(as_of), language)
        console.print(f"Posted to {posted.host}:\n{posted.text}", soft_wrap=True, highlight=False)
        return
    from clm_dagster.domains.report.writing import write_page

    with console.status("Writing the report"):
        written = write_page(current_settings(), day_of(as_of), language, out)
    shown = written.latest or written.path
    console.print(
        f"The report of {written.as_of:%Y-%m-%d} ({written.size / 1e6:.1f} MB):\n{shown}",
        soft_wrap=True,
        highlight=False,
    )
    if not no_open:
        # The choice of an earlier visit must not win over the option.
        chosen = f"?language={language}" if language else ""
        if not webbrowser.open(f"{shown.resolve().as_uri()}{chosen}"):
            console.print("No browser was found: open the file yourself.")
