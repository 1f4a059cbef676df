"""What commands share: the terminal, common options, and the settings of the shop that a command is for.

Belongs here: what a command of a domain needs as well. Does not: commands (`commands`, a domain's `commands.py`), the
program itself (`cli`).
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from rich.console import Console, RenderableType

from clm_dagster.settings import Settings

if TYPE_CHECKING:  # late, so that --help is fast
    import dagster as dg

# Without markup: a path or a message may have brackets.
console = Console(markup=False)
errors = Console(stderr=True, markup=False)
DATE = click.DateTime(formats=["%Y-%m-%d"])
FOLDER = click.Path(path_type=Path, file_okay=False)
POSITIVE = click.IntRange(min=1)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for programs.")


@dataclass(frozen=True)
class Program:
    """What the program gives its commands: the settings of the shop, and the code location of settings."""

    settings: Callable[[], Settings]
    definitions: Callable[[Settings], "dg.Definitions"]


def current_settings() -> Settings:
    """Return the settings of the shop in the option --shop of the program, else those of the environment."""
    return _program().settings()


def definitions_of(settings: Settings) -> "dg.Definitions":
    """Return the code location of a shop, for commands that start a run."""
    return _program().definitions(settings)


def _program() -> Program:
    return cast(Program, click.get_current_context().find_root().obj)


def show(content: RenderableType | dict[str, Any]) -> None:
    """Print a dict as JSON, anything else as it is."""
    if isinstance(content, dict):
        click.echo(json.dumps(content, indent=2, default=str))
    else:
        console.print(content, crop=False)


def set_environment(source: str | None, input_path: str | None, start: date | None, end: date | None) -> None:
    """Write the options to the environment, where this process and its children read settings."""
    options: dict[str, str | None] = {
        "CLM_SOURCE": source,
        # Absolute, because later runs may start in another folder.
        "CLM_INPUT": str(Path(input_path).expanduser().resolve()) if input_path else None,
        "CLM_START_DATE": start.isoformat() if start else None,
        "CLM_END_DATE": end.isoformat() if end else None,
    }
    os.environ.update({name: value for name, value in options.items() if value is not None})


def day_of(value: datetime | None) -> date | None:
    """Return the day of an option."""
    return value.date() if value else None
