"""Progress of runs in the terminal, or as lines in a log.

Belongs here: how progress looks. Does not: commands (`cli`), what runs (`shop_run`).
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from clm_dagster.errors import UserError

# Called with the key of a step and the number of its finished partitions.
Step = Callable[[str, int], None]
# Of a message of an unknown error, which may be a whole query.
_MOST_CHARACTERS = 500


def unexpected(error: Exception, folder: Path) -> UserError:
    """Keep the traceback of an error in a file that only the user can read, and return a message that names it.

    folder: the data folder; a folder for temporary files takes its place where it cannot be written.
    """
    text = "".join(traceback.format_exception(error))
    report = None
    for place in (folder if folder.is_dir() else None, None):
        try:
            with NamedTemporaryFile("w", dir=place, prefix="clm-error-", suffix=".txt", delete=False) as file:
                file.write(text)
                report = file.name
                break
        except OSError:
            continue
    kept = (
        f"The traceback is in {report}." if report else "The traceback could not be kept: no folder takes it."
    )
    return UserError(
        f"{type(error).__name__}: {str(error)[:_MOST_CHARACTERS]}\n{kept} Please report it with the command that you "
        "gave. Read it first: it may quote data of the shop. What is finished is kept, and `clm run` goes on with the "
        "rest."
    )


class RunProgress:
    """A bar for each run; without a terminal, a line at its start and one at its end.

    Use `run_progress` to create one.
    """

    def __init__(self, console: Console, bars: Progress) -> None:
        self._console, self._bars = console, bars
        self._current: tuple[TaskID, str, int, float] | None = None

    def begin(self, title: str, total: int) -> Step:
        """Start a run with an expected number of parts, and end the one before. Return its progress function."""
        self.finish()
        task = self._bars.add_task(title, total=total, step="")
        self._current = (task, title, total, time.monotonic())
        self._line(f"{title}: {total:,} to do")
        reached: dict[str, int] = {}

        def step(name: str, done: int) -> None:
            reached[name] = done
            self._bars.update(task, completed=sum(reached.values()), step=name)

        return step

    def finish(self) -> None:
        """End the current run, if there is one."""
        if self._current is None:
            return
        task, title, total, start = self._current
        self._bars.update(task, completed=total, step="")
        self._bars.stop_task(task)
        self._line(f"{title}: done in {time.monotonic() - start:,.0f} s")
        self._current = None

    def say(self, text: str) -> None:
        """Print a message above the bars."""
        self.finish()
        self._bars.console.print(text, soft_wrap=True, highlight=False)

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            clock = time.strftime("%H:%M:%S")
            self._console.print(f"{clock}  {text}", soft_wrap=True, highlight=False, markup=False)


@contextmanager
def run_progress(console: Console) -> Iterator[RunProgress]:
    """Show progress on a console for the duration of the block. An error leaves the last bar unfinished."""
    # Without a terminal, lines take the place of bars.
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<38}"),
        BarColumn(30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[step]}"),
        console=console,
        disable=not console.is_terminal,
        refresh_per_second=4,
    ) as bars:
        shown = RunProgress(console, bars)
        yield shown
        shown.finish()


def warn_of_misspelt(console: Console, names: Mapping[str, str | None]) -> None:
    """Print a warning for each variable that looks like a setting and is none, with the nearest setting."""
    for name, near in names.items():
        guess = f"did you mean {near}?" if near else "`clm settings` prints all names."
        console.print(
            f"Warning: the environment sets {name}, which is no setting and is ignored; {guess}",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )
