"""Commands on the files of a new shop.

Belongs here: inspect and init. Does not: loading files (`shop`).
"""

import shlex
from pathlib import Path

import click

from clm_dagster.command_line import FOLDER, console, current_settings
from clm_dagster.settings import load_settings


@click.command()
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

    settings = current_settings()
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


@click.command()
@click.argument("folder", type=FOLDER)
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
