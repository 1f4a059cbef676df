"""The command line, `clm`: a thin layer over Dagster runs that the UI shows.

Belongs here: options and terminal output. Does not: the work itself (`shop_run`, `simulate`).
"""

import io
import json
import os
import shlex
import signal
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from clm_dagster import storage
from clm_dagster.errors import StoppedError, UserError
from clm_dagster.settings import Settings, load_settings, misspelt_variables, read_env_file, record_settings
from clm_dagster.storage import private_umask
from clm_dagster.terminal import run_progress, unexpected, warn_of_misspelt

if TYPE_CHECKING:  # commands import late, so that --help is fast
    from clm_dagster.simulate.parameters import Parameters
    from clm_dagster.simulate.shop import Simulated

# Without markup: a path or a message may have brackets.
console = Console(markup=False)
errors = Console(stderr=True, markup=False)
_DATE = click.DateTime(formats=["%Y-%m-%d"])
_FOLDER = click.Path(path_type=Path, file_okay=False)
# Exit status of a program that Ctrl-C stopped, by the convention of shells.
_STOPPED = 130
_POSITIVE = click.IntRange(min=1)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for programs.")
_DEMO_FOLDER = "demo"
# A demo shows everything once. The simulated files contain every kind of fault, a large share of a small table.
_DEMO = {"max_rejected_share": "1", "train_count": "1", "score_count": "2", "graded_horizons": "0"}
_WITH_SHOP = ("run", "pull", "plan", "status", "summary", "settings", "inspect", "explain")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="clm-dagster")
@click.option(
    "--shop",
    type=_FOLDER,
    help=f"Folder with the defs.yaml of one of several shops, for {', '.join(_WITH_SHOP)}.",
)
@click.pass_context
def cli(context: click.Context, shop: Path | None) -> None:
    """Customer lifecycle management for e-commerce, as a Dagster project on DuckDB."""
    context.obj = shop
    if shop and context.invoked_subcommand not in _WITH_SHOP:
        raise click.UsageError(
            f"--shop is for {', '.join(_WITH_SHOP)}; open the UI on all shops with `dg dev`"
        )
    read_env_file(Path(".env"))
    warn_of_misspelt(errors, misspelt_variables(os.environ))


def _settings() -> Settings:
    """Return the settings of the shop in the option --shop, else those of the environment."""
    folder: Path | None = click.get_current_context().find_root().obj
    if folder is None:
        return load_settings()
    from clm_dagster.component import settings_of_folder

    return settings_of_folder(folder)


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


@cli.command()
@click.option("--source", help="Name of the shop's adapter. [setting: CLM_SOURCE]")
@click.option("--input", "input_path", help="File, folder or glob of the shop's files. [setting: CLM_INPUT]")
@click.option("--start-date", type=_DATE, help="First day of the history. [setting: CLM_START_DATE]")
@click.option("--end-date", type=_DATE, help="Exclusive end of the history. [setting: CLM_END_DATE]")
@click.option("--no-models", is_flag=True, help="Stop after the segments; train and score nothing.")
def run(
    source: str | None,
    input_path: str | None,
    start_date: datetime | None,
    end_date: datetime | None,
    no_models: bool,
) -> None:
    """Bring the shop up to date: pull, land new files, run what is stale, publish, print a summary."""
    given = [source, input_path, start_date, end_date]
    if click.get_current_context().find_root().obj and any(given):
        raise click.UsageError("with --shop, the source, input and dates are those in its defs.yaml")
    _set_environment(source, input_path, _day(start_date), _day(end_date))
    _run_shop(_settings(), models=not no_models)


def _run_shop(settings: Settings, models: bool = True) -> None:
    from clm_dagster.domains.shop.summary import read_summary, render
    from clm_dagster.shop_run import run_shop

    with run_progress(console) as progress:
        report = run_shop(settings, progress.begin, progress.say, models)
    for note in report.notes:
        console.print(note, soft_wrap=True)
    console.print(render(read_summary(report.settings), report.settings), crop=False)


@cli.command()
def pull() -> None:
    """Pull what is new of all connectors (CLM_CONNECTORS) into the inbox. `clm run` does this first."""
    from clm_dagster.shop_pull import pull_shop

    with run_progress(console) as progress:
        report = pull_shop(_settings(), progress.begin)
    table = Table("table", "new or changed", "file", box=None, header_style="bold", pad_edge=False)
    for each in report.tables:
        rows = "failed" if each.rows is None else f"{each.rows:,}"
        table.add_row(each.table, rows, ", ".join(each.files))
    console.print(table)
    if report.failure:
        raise report.failure


@cli.command()
@_JSON
def plan(as_json: bool) -> None:
    """Show what `clm run` would run now, and why. Change nothing."""
    from clm_dagster.plan_view import as_dict, render
    from clm_dagster.shop_run import plan_shop

    preview = plan_shop(_settings())
    _show(as_dict(preview) if as_json else render(preview))


@cli.command()
@_JSON
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show what is fresh, due and failing. Exit with 0: up to date, 1: work is due, 2: something fails."""
    from clm_dagster.shop_status import read_status
    from clm_dagster.status_view import as_dict, render

    found = read_status(_settings())
    _show(as_dict(found) if as_json else render(found))
    context.exit(found.exit_code)


def _show(content: RenderableType | dict[str, Any]) -> None:
    """Print a dict as JSON, anything else as it is."""
    if isinstance(content, dict):
        click.echo(json.dumps(content, indent=2, default=str))
    else:
        console.print(content, crop=False)


@cli.command()
@click.argument("file")
@click.option(
    "--write-adapter",
    metavar="NAME",
    help="Write the draft as a new adapter, to CLM_ADAPTERS_DIR if it is set.",
)
def inspect(file: str, write_adapter: str | None) -> None:
    """Show how FILE is written, its columns and first rows, and draft an adapter for it."""
    from clm_dagster.domains.ingest.contract import read_contract
    from clm_dagster.domains.ingest.drafting import draft, write_draft
    from clm_dagster.domains.ingest.inspect_view import next_steps, render
    from clm_dagster.domains.ingest.inspecting import inspect_file
    from clm_dagster.domains.ingest.presets import read_presets
    from clm_dagster.platform.resources import load_sql

    settings = _settings()
    presets = read_presets(settings.adapter_folders)
    found = inspect_file(file, read_contract(load_sql(settings)), settings.timezone, presets)
    for each in found:
        show_draft = not write_adapter and each.preset is None
        console.print(render(each, draft(each, write_adapter or "my_shop"), show_draft), soft_wrap=False)
        if each.preset and not write_adapter:
            console.print(
                next_steps(each.path, each.preset, settings), markup=False, highlight=False, soft_wrap=True
            )
    if write_adapter:
        folder = settings.adapter_folders[-1] / write_adapter
        write_draft(draft(found[0], write_adapter), folder)
        console.print(
            f"Wrote {folder}. Finish it, then run\n  clm run --source {write_adapter} --input {file}"
        )


@cli.command()
@click.argument("folder", type=_FOLDER)
@click.option(
    "--from", "copied", metavar="SOURCE", help="Start from a copy of this adapter, such as shopify."
)
def init(folder: Path, copied: str | None) -> None:
    """Make FOLDER for a new shop: an adapter to fill in, an inbox, settings in .env."""
    from clm_dagster.domains.ingest.starting import start_shop
    from clm_dagster.settings.shared import adapter_folder

    folders = load_settings(source="generic").adapter_folders
    taken = [path.parent.name for each in folders for path in each.glob("*/adapter.yml")]
    started = start_shop(folder, adapter_folder(copied, folders) if copied else None, taken)
    shown = started.adapter.relative_to(folder)
    console.print(
        f"Made {folder}. Now\n"
        f"  cd {shlex.quote(str(folder))}\n"
        "  # put your files into inbox, look at one of them\n"
        "  clm inspect inbox/FILE\n"
        f"  # edit {shown}/adapter.yml and the SQL beside it\n"
        "  clm run",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@cli.command()
@click.option("--out", required=True, type=_FOLDER, help="Folder for the shop; it must be new or empty.")
@click.option("--customers", default=20_000, show_default=True, type=_POSITIVE)
@click.option("--days", default=548, show_default=True, type=_POSITIVE)
@click.option("--products", default=400, show_default=True, type=_POSITIVE)
@click.option(
    "--start-date", type=_DATE, default="2024-01-01", show_default=True, help="The shop's first day."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same bytes."
)
@click.option(
    "--world",
    type=click.Choice(["believable", "stationary"]),
    default="believable",
    show_default=True,
    help="stationary: exact BG/NBD and Gamma-Gamma, without seasons, promotions or effects of emails.",
)
@click.option(
    "--aliases",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of people with several ids: guest checkouts, second accounts.",
)
@click.option(
    "--threads", default=2, show_default=True, type=_POSITIVE, help="Number of files written in parallel."
)
@click.option(
    "--figure", type=click.Path(path_type=Path, dir_okay=False), help="Also draw the shop to this PNG."
)
def simulate(out: Path, start_date: datetime, threads: int, figure: Path | None, **size: Any) -> None:
    """Simulate a shop: write its deliveries to OUT/inbox and the ground truth to OUT/truth."""
    from clm_dagster.simulate.parameters import Parameters

    parameters = Parameters(start=start_date.date(), **size)
    _simulate(parameters, out, threads)
    if figure:
        from clm_dagster.simulate.figure import draw_shop

        figure.write_bytes(draw_shop(out))
        console.print(f"Wrote the figure to {figure}")
    console.print(
        f"Load it with\n  clm run --source generic --input {out / 'inbox'} "
        f"--start-date {parameters.start} --end-date {parameters.end}",
        soft_wrap=True,
    )


@cli.command()
@click.option("--customers", default=3_000, show_default=True, type=_POSITIVE)
@click.option("--days", default=548, show_default=True, type=_POSITIVE)
@click.option("--products", default=120, show_default=True, type=_POSITIVE)
def demo(customers: int, days: int, products: int) -> None:
    """Simulate a shop and run the whole pipeline on it, in a separate folder (data/demo)."""
    from clm_dagster.simulate.parameters import Parameters

    home = demo_folder(load_settings().data_dir)
    parameters = Parameters(customers=customers, days=days, products=products)
    os.environ["CLM_DATA_DIR"] = str(home)
    record_settings(home, "generic", _DEMO)
    console.print(
        f"A shop of {customers:,} customers and {products:,} products over {days:,} days: every model is trained "
        f"once and scores {_DEMO['score_count']} weeks. By default, about 3 minutes on two processors.",
        soft_wrap=True,
    )
    simulated = _simulate(parameters, home / "shop", threads=2)
    _set_environment("generic", str(simulated.inbox), parameters.start, parameters.end)
    _run_shop(load_settings())


def demo_folder(data_dir: Path) -> Path:
    """Return the folder of the demo: below the data folder, or that itself where CLM_DATA_DIR names the demo's."""
    return data_dir if data_dir.name == _DEMO_FOLDER else data_dir / _DEMO_FOLDER


def _simulate(parameters: "Parameters", out: Path, threads: int) -> "Simulated":
    """Simulate a shop with a progress bar, and print how many rows were written."""
    from clm_dagster.simulate.shop import simulate

    with run_progress(console) as progress:
        step = progress.begin("Simulating a shop", parameters.days)
        simulated = simulate(parameters, out, threads, lambda done: step("", done))
    rows = ", ".join(f"{count:,} {table}" for table, count in simulated.rows.items())
    console.print(f"Wrote to {simulated.inbox}: {rows}", soft_wrap=True)
    return simulated


@cli.command()
@click.argument("model")
@click.option("--at", type=_DATE, help="The as_of of the training, as in the table; default: the newest.")
def explain(model: str, at: datetime | None) -> None:
    """Explain all candidates of a training of MODEL, such as churn_model, in its MLflow runs."""
    from clm_dagster.platform.trained_models.explaining import explain_training

    click.echo(str(explain_training(_settings(), model, _day(at), click.echo)))


@cli.command()
@_JSON
def summary(as_json: bool) -> None:
    """Show a summary of the published copy: deliveries, customers, revenue, segments."""
    from clm_dagster.domains.shop.summary import as_dict, read_summary, render

    settings = _settings()
    found = read_summary(settings)
    _show(as_dict(found) if as_json else render(found, settings))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True)
def dev(host: str, port: int) -> None:
    """Open the Dagster UI on the shop of the last run, with the schedules and sensors."""
    from clm_dagster.dev_server import serve

    serve(load_settings(), host, port)


@cli.command()
@_JSON
def settings(as_json: bool) -> None:
    """Print every setting with its value, the source of the value, and a description."""
    from clm_dagster.settings_view import as_dict, print_settings

    if as_json:
        _show(as_dict(_settings()))
    else:
        print_settings(console, _settings())


def _set_environment(
    source: str | None, input_path: str | None, start: date | None, end: date | None
) -> None:
    """Write the options to the environment, where this process and its children read settings."""
    options: dict[str, str | None] = {
        "CLM_SOURCE": source,
        # Absolute, because later runs may start in another folder.
        "CLM_INPUT": str(Path(input_path).expanduser().resolve()) if input_path else None,
        "CLM_START_DATE": start.isoformat() if start else None,
        "CLM_END_DATE": end.isoformat() if end else None,
    }
    os.environ.update({name: value for name, value in options.items() if value is not None})


def _day(value: datetime | None) -> date | None:
    return value.date() if value else None
