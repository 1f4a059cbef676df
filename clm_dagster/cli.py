"""The command line, `clm`: a thin layer over Dagster runs that the UI shows.

Belongs here: the program, its common options, and how it ends. Does not: commands (`commands`, a domain's
`commands.py`).
"""

import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from rich.panel import Panel
from rich.text import Text

from clm_dagster import storage
from clm_dagster.command_line import FOLDER, Program, errors
from clm_dagster.commands import alerts, files, shop, simulated, upkeep, verify
from clm_dagster.discovery import domain_modules
from clm_dagster.errors import StoppedError, UserError
from clm_dagster.settings import Settings, load_settings, misspelt_variables, read_env_file
from clm_dagster.storage import private_umask
from clm_dagster.terminal import unexpected, warn_of_misspelt

if TYPE_CHECKING:  # late, so that --help is fast
    import dagster as dg

# Exit status of a program that Ctrl-C stopped, by the convention of shells.
_STOPPED = 130
_WITHOUT_SHOP = ("demo", "dev", "init", "restore", "simulate")
_OWN = (alerts, files, shop, simulated, upkeep, verify)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clm-dagster")
@click.option(
    "--shop",
    type=FOLDER,
    help=f"Folder with the defs.yaml of one of several shops. Not for {', '.join(_WITHOUT_SHOP)}.",
)
@click.pass_context
def cli(context: click.Context, shop: Path | None) -> None:
    """Customer lifecycle management for e-commerce, as a Dagster project on DuckDB."""
    context.obj = Program(lambda: _settings_of(shop), _definitions_of)
    if shop and context.invoked_subcommand in _WITHOUT_SHOP:
        raise click.UsageError(
            f"--shop is not for {', '.join(_WITHOUT_SHOP)}; open the UI on all shops with `dg dev`"
        )
    read_env_file(Path(".env"))
    warn_of_misspelt(errors, misspelt_variables(os.environ))


def _settings_of(shop: Path | None) -> Settings:
    """Return the settings of the shop in a folder, else those of the environment."""
    if shop is None:
        return load_settings()
    from clm_dagster.component import settings_of_folder

    return settings_of_folder(shop)


def _definitions_of(settings: Settings) -> "dg.Definitions":
    from clm_dagster.definitions import build_definitions

    return build_definitions(settings)


for _module in (*_OWN, *domain_modules("commands").values()):
    for _value in vars(_module).values():
        if isinstance(_value, click.Command):
            cli.add_command(_value)


def main() -> None:
    """Run the command line. Print a user error as a message, without a traceback."""
    # SIGTERM as Ctrl-C: Dagster does the same while a run is executed. A program that starts in the background inherits
    # that Ctrl-C is ignored, and Dagster would then ignore both.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    private_umask()
    for stream in (sys.stdout, sys.stderr):
        # A file name that is not UTF-8, or a terminal that knows fewer characters, must not end a command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli()
    except StoppedError as error:
        _end(error, "clm was stopped", "yellow", _STOPPED)
    except UserError as error:
        _end(error, "clm cannot go on", "red", 1)
    except Exception as error:  # noqa: BLE001 - the last place that can turn it into a message
        folder = Path(os.environ.get("CLM_DATA_DIR") or "data").expanduser().resolve()
        explained = storage.explained(error, folder)
        if explained is None:
            _end(unexpected(error, folder), "clm met an error that it does not know", "red", 1)
        _end(explained, "clm cannot go on", "red", 1)


def _end(error: UserError, title: str, colour: str, status: int) -> NoReturn:
    """Print a message in a panel and end the process."""
    errors.print(Panel(Text(str(error)), title=Text(title, f"bold {colour}"), border_style=colour))
    sys.exit(status)
