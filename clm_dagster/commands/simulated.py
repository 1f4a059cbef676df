"""Commands on simulated shops.

Belongs here: simulate and demo. Does not: the simulation (`clm_dagster.simulate`).
"""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clm_dagster.command_line import DATE, FOLDER, POSITIVE, console, set_environment
from clm_dagster.commands.shop import run_and_summarise
from clm_dagster.settings import load_settings, record_settings
from clm_dagster.terminal import run_progress

if TYPE_CHECKING:  # imported late, so that --help is fast
    from clm_dagster.simulate.parameters import Parameters
    from clm_dagster.simulate.shop import Simulated

_DEMO_FOLDER = "demo"
# A demo shows everything once. The simulated files contain every kind of fault, a large share of a small table.
_DEMO = {"max_rejected_share": "1", "train_count": "1", "score_count": "2", "graded_horizons": "0"}


@click.command()
@click.option("--out", required=True, type=FOLDER, help="Folder for the shop; it must be new or empty.")
@click.option("--customers", default=20_000, show_default=True, type=POSITIVE)
@click.option("--days", default=548, show_default=True, type=POSITIVE)
@click.option("--products", default=400, show_default=True, type=POSITIVE)
@click.option(
    "--start-date", type=DATE, default="2024-01-01", show_default=True, help="The shop's first day."
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
    "--touches",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV or Parquet file with day, customer_id, arm: mails in place of the shop's own from their first day on.",
)
@click.option(
    "--threads", default=2, show_default=True, type=POSITIVE, help="Number of files written in parallel."
)
@click.option(
    "--figure", type=click.Path(path_type=Path, dir_okay=False), help="Also draw the shop to this PNG."
)
def simulate(
    out: Path, start_date: datetime, touches: Path | None, threads: int, figure: Path | None, **size: Any
) -> None:
    """Simulate a shop: write its deliveries to OUT/inbox and the ground truth to OUT/truth."""
    from clm_dagster.simulate.parameters import Parameters

    parameters = Parameters(start=start_date.date(), **size)
    _simulate(parameters, out, threads, touches)
    if figure:
        from clm_dagster.simulate.figure import draw_shop

        figure.write_bytes(draw_shop(out))
        console.print(f"Wrote the figure to {figure}")
    console.print(
        f"Load it with\n  clm run --source generic --input {out / 'inbox'} "
        f"--start-date {parameters.start} --end-date {parameters.end}",
        soft_wrap=True,
    )


@click.command()
@click.option("--customers", default=3_000, show_default=True, type=POSITIVE)
@click.option("--days", default=548, show_default=True, type=POSITIVE)
@click.option("--products", default=120, show_default=True, type=POSITIVE)
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
    set_environment("generic", str(simulated.inbox), parameters.start, parameters.end)
    run_and_summarise(load_settings())


def demo_folder(data_dir: Path) -> Path:
    """Return the folder of the demo: below the data folder, or that itself where CLM_DATA_DIR names the demo's."""
    return data_dir if data_dir.name == _DEMO_FOLDER else data_dir / _DEMO_FOLDER


def _simulate(parameters: "Parameters", out: Path, threads: int, touches: Path | None = None) -> "Simulated":
    """Simulate a shop with a progress bar, and print how many rows were written."""
    from clm_dagster.simulate.shop import simulate
    from clm_dagster.simulate.touches import read_touches

    planned = read_touches(touches) if touches else None
    with run_progress(console) as progress:
        step = progress.begin("Simulating a shop", parameters.days)
        simulated = simulate(parameters, out, threads, lambda done: step("", done), planned)
    rows = ", ".join(f"{count:,} {table}" for table, count in simulated.rows.items())
    console.print(f"Wrote to {simulated.inbox}: {rows}", soft_wrap=True)
    return simulated
