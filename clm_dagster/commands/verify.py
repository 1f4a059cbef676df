"""The command that proves that all engines give the same rows.

Belongs here: verify. Does not: what it does (`engines`), output (`verify_view`).
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from clm_dagster.command_line import DATE, FOLDER, JSON, console, current_settings, errors, show
from clm_dagster.errors import StoppedError
from clm_dagster.terminal import run_progress


@click.command()
@click.option("--engine", default="duckdb", show_default=True, help="duckdb, ducklake or spark.")
@click.option("--models", multiple=True, help="Names of models, separated by commas; default: all.")
@click.option("--as-of", "as_ofs", type=DATE, multiple=True, help="A date; may be given several times.")
@click.option("--folder", type=FOLDER, help="A new folder that keeps the databases and rows.")
@click.argument("model", nargs=-1)
@JSON
@click.pass_context
def verify(
    context: click.Context,
    engine: str,
    models: Sequence[str],
    as_ofs: Sequence[datetime],
    folder: Path | None,
    model: Sequence[str],
    as_json: bool,
) -> None:
    """Build every SQL model with DuckDB and with another engine, and compare all rows.

    The rows that the warehouse stores are compared too. Nothing is changed. Exit with 0: all rows are equal, 1: not.
    """
    from clm_dagster.engines.registry import engine_named
    from clm_dagster.engines.verifying import verify as verify_shop
    from clm_dagster.verify_view import as_dict, render

    settings = current_settings()
    names = [name for text in (*models, *model) for name in text.replace(",", " ").split()]
    try:
        with run_progress(errors if as_json else console) as progress:
            found = verify_shop(
                settings, engine_named(engine, settings), progress.begin, names, as_ofs, folder
            )
    except KeyboardInterrupt as error:
        raise StoppedError(
            "the verification was stopped; its files are deleted, nothing was changed"
        ) from error
    show(as_dict(found) if as_json else render(found))
    context.exit(found.exit_code)
