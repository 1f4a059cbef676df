"""Output of `clm settings`.

Belongs here: the layout in the terminal and in a pipe, a dict for programs. Does not: reading settings (`settings`).
"""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clm_dagster.settings import Settings, origins

# In a pipe, a line is as long as it needs to be: a program that reads it finds whole paths.
_PIPE_WIDTH = 2_000
# Narrower terminals get a few lines for each setting: four columns would cut names and paths.
_TABLE_WIDTH = 170
_INDENT = 4


def as_dict(settings: Settings) -> dict[str, object]:
    """Return every setting for programs, by its variable: value, origin of the value, description."""
    places, values = origins(settings), settings.flat()
    return {
        setting.variable: {
            "value": values[name],
            "from": places[name],
            "description": setting.description,
        }
        for name, setting in settings.known.items()
    }


def print_settings(console: Console, settings: Settings) -> None:
    """Print every setting with its value, the origin of the value, and a description. Cut no name and no value."""
    places, values = origins(settings), settings.flat()
    rows = [
        (
            setting.variable,
            "" if values[name] is None else str(values[name]),
            places[name],
            setting.description,
        )
        for name, setting in settings.known.items()
    ]
    if console.is_terminal and console.width < _TABLE_WIDTH:
        for variable, value, place, description in rows:
            line = Text.assemble((variable, "bold"), f" = {value}", (f"  [{place}]", "dim"))
            console.print(line, soft_wrap=True)
            console.print(Padding(Text(description), (0, 0, 0, _INDENT)))
        return
    table = Table("setting", "value", "from", "description", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    table.columns[0].no_wrap = True
    wide = console if console.is_terminal else Console(file=console.file, width=_PIPE_WIDTH)
    wide.print(table)
