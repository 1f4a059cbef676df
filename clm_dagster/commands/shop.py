"""Commands that run one shop and show its state.

Belongs here: run, pull, plan, status, summary, settings, explain, dev. Does not: files of a new shop
(`files`), simulated shops (`simulated`).
"""

from datetime import datetime

import click
from rich.table import Table

from clm_dagster.command_line import (
    DATE,
    JSON,
    console,
    current_settings,
    day_of,
    set_environment,
    show,
)
from clm_dagster.settings import Settings, load_settings
from clm_dagster.terminal import run_progress


@click.command()
@click.option("--source", help="Name of the shop's adapter. [setting: CLM_SOURCE]")
@click.option("--input", "input_path", help="File, folder or glob of the shop's files. [setting: CLM_INPUT]")
@click.option("--start-date", type=DATE, help="First day of the history. [setting: CLM_START_DATE]")
@click.option("--end-date", type=DATE, help="Exclusive end of the history. [setting: CLM_END_DATE]")
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
    if click.get_current_context().find_root().params["shop"] and any(given):
        raise click.UsageError("with --shop, the source, input and dates are those in its defs.yaml")
    set_environment(source, input_path, day_of(start_date), day_of(end_date))
    run_and_summarise(current_settings(), models=not no_models)


def run_and_summarise(settings: Settings, models: bool = True) -> None:
    """Bring a shop up to date with progress bars, and print what a person should know and the summary."""
    from clm_dagster.domains.shop.summary import read_summary, render
    from clm_dagster.shop_run import run_shop

    with run_progress(console) as progress:
        report = run_shop(settings, progress.begin, progress.say, models)
    for note in report.notes:
        console.print(note, soft_wrap=True)
    console.print(render(read_summary(report.settings), report.settings), crop=False)


@click.command()
def pull() -> None:
    """Pull what is new of all connectors (CLM_CONNECTORS) into the inbox. `clm run` does this first."""
    from clm_dagster.shop_pull import pull_shop

    with run_progress(console) as progress:
        report = pull_shop(current_settings(), progress.begin)
    table = Table("table", "new or changed", "file", box=None, header_style="bold", pad_edge=False)
    for each in report.tables:
        rows = "failed" if each.rows is None else f"{each.rows:,}"
        table.add_row(each.table, rows, ", ".join(each.files))
    console.print(table)
    if report.failure:
        raise report.failure


@click.command()
@JSON
def plan(as_json: bool) -> None:
    """Show what `clm run` would run now, and why. Change nothing."""
    from clm_dagster.plan_view import as_dict, render
    from clm_dagster.shop_run import plan_shop

    preview = plan_shop(current_settings())
    show(as_dict(preview) if as_json else render(preview))


@click.command()
@JSON
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show what is fresh, due and failing. Exit with 0: up to date, 1: work is due, 2: something fails."""
    from clm_dagster.shop_status import read_status
    from clm_dagster.status_view import as_dict, render

    found = read_status(current_settings())
    show(as_dict(found) if as_json else render(found))
    context.exit(found.exit_code)


@click.command()
@JSON
def summary(as_json: bool) -> None:
    """Show a summary of the published copy: deliveries, customers, revenue, segments."""
    from clm_dagster.domains.shop.summary import as_dict, read_summary, render

    settings = current_settings()
    found = read_summary(settings)
    show(as_dict(found) if as_json else render(found, settings))


@click.command()
@JSON
def settings(as_json: bool) -> None:
    """Print every setting with its value, the source of the value, and a description."""
    from clm_dagster.settings_view import as_dict, print_settings

    if as_json:
        show(as_dict(current_settings()))
    else:
        print_settings(console, current_settings())


@click.command()
@click.argument("model")
@click.option("--at", type=DATE, help="The as_of of the training, as in the table; default: the newest.")
def explain(model: str, at: datetime | None) -> None:
    """Explain all candidates of a training of MODEL, such as churn_model, in its MLflow runs."""
    from clm_dagster.platform.trained_models.explaining import explain_training

    click.echo(str(explain_training(current_settings(), model, day_of(at), click.echo)))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True)
def dev(host: str, port: int) -> None:
    """Open the Dagster UI on the shop of the last run, with the schedules and sensors."""
    from clm_dagster.dev_server import serve

    serve(load_settings(), host, port)
