"""Commands that look after a deployment.

Belongs here: vacuum, backup, restore. Does not: what they do (`upkeep`).
"""

from pathlib import Path

import click

from clm_dagster.command_line import JSON, console, current_settings, show

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be freed; free nothing.")
@JSON
def vacuum(dry_run: bool, as_json: bool) -> None:
    """Free disk space: what the settings CLM_KEEP_... do not keep, superseded and temporary files."""
    from clm_dagster.upkeep.vacuum import vacuum as vacuum_shop
    from clm_dagster.upkeep.vacuum_view import as_dict, render

    freed = vacuum_shop(current_settings(), dry_run)
    show(as_dict(freed, dry_run) if as_json else render(freed, dry_run))


@click.command()
@click.argument("backup", type=_PATH)
def backup(backup: Path) -> None:
    """Copy all that the shop has stored to BACKUP, a new file (*.tar.zst) or folder. No secrets are copied.

    If BACKUP is an existing folder, a file with the date in its name is made in it.
    """
    from clm_dagster.upkeep.backup import back_up

    done = back_up(current_settings(), backup)
    manifest = done.manifest
    console.print(
        f"Backed up {len(manifest.files):,} files, {manifest.size / 1e6:,.1f} MB, to {done.path}",
        soft_wrap=True,
    )
    console.print("Not contained:", *(f"- {each}" for each in manifest.left_out), sep="\n", soft_wrap=True)


@click.command()
@click.argument("backup", type=_PATH)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def restore(backup: Path, folder: Path) -> None:
    """Make the data folder FOLDER, new or empty, from a BACKUP. Every file is checked first."""
    from clm_dagster.upkeep.restore import restore as restore_folder

    done = restore_folder(backup, folder)
    manifest = done.manifest
    console.print(
        f"Restored {len(manifest.files):,} files of the shop {manifest.source}, backed up at {manifest.created_at} by "
        f"version {manifest.version}, to {done.folder}",
        soft_wrap=True,
    )
    variables = "".join(f"\n  export {name}={value}" for name, value in done.variables.items())
    console.print(
        f"Set, and check that CLM_INPUT ({manifest.input}) is where new files of the shop are:{variables}",
        soft_wrap=True,
    )
