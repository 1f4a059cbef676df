"""Write the project: templates to files that people own from then on.

Belongs here: which files, and which of them may be overwritten. Does not: data (`data`), terminal output (`command`).
"""

import hashlib
import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from clm_dagster.errors import UserError
from clm_dagster.storage import write_atomically, write_json

# What was written, by path with the hash of its text: so that an edited file is never overwritten.
RECEIPT = ".clm-dashboard.json"
SOURCE = Path("sources", "clm")
TABLES = Path("tables")
# A wheel leaves out hidden files that a checkout ignores.
_HIDDEN = {"gitignore": ".gitignore", "npmrc": ".npmrc"}


class DashboardError(UserError):
    """A folder that the project cannot be written to, or a table of it that cannot be computed."""


def project_files() -> dict[str, str]:
    """Return the text of each file of the project by its path in the folder."""
    found: dict[str, str] = {}
    _collect(files("clm_dagster.domains.report.dashboard") / "template", "", found)
    for name in [Path(path).stem for path in found if path.startswith(f"{TABLES}/")]:
        found[f"{SOURCE.as_posix()}/{name}.sql"] = source_query(name)
    return dict(sorted(found.items()))


def source_query(table: str) -> str:
    """Return the query with which Evidence reads a table of the data."""
    return f"select * from {table}\n"


def _collect(folder: Traversable, place: str, found: dict[str, str]) -> None:
    for entry in folder.iterdir():
        path = place + _HIDDEN.get(entry.name, entry.name)
        if entry.is_dir():
            _collect(entry, f"{path}/", found)
        else:
            found[path] = entry.read_text(encoding="utf-8")


def write_project(folder: Path, force: bool = False) -> int:
    """Write all files of the project and return their number.

    force: also over files that an earlier call wrote and that nobody has edited. Raise DashboardError otherwise if the
    folder is not empty, and with force if a file was edited or is not of the project; then nothing is written.
    """
    texts = project_files()
    if folder.exists() and any(folder.iterdir()):
        if not force:
            raise DashboardError(
                f"{folder} is not empty; expected a new or empty folder. Name another one with --out, or use --force "
                "to write the files of an earlier `clm dashboard init` again"
            )
        _refuse_edited(folder, texts)
    for path, text in texts.items():
        write_atomically(folder / path, text)
    write_json(folder / RECEIPT, {path: _hash(text) for path, text in texts.items()})
    return len(texts)


def _refuse_edited(folder: Path, texts: dict[str, str]) -> None:
    """Raise DashboardError if a file that would be overwritten is not as an earlier call wrote it."""
    receipt = folder / RECEIPT
    try:
        written = json.loads(receipt.read_text(encoding="utf-8")) if receipt.exists() else {}
    except ValueError as error:
        raise DashboardError(
            f"{receipt} cannot be read as JSON ({error}), so it is not known which files were edited. "
            "Write the project to a new folder with --out"
        ) from error
    edited = [
        path
        for path in texts
        if (folder / path).exists() and _hash_of_file(folder / path) != written.get(path)
    ]
    if edited:
        raise DashboardError(
            f"{len(edited)} files in {folder} were edited, or are not of an earlier `clm dashboard init`: "
            f"{', '.join(edited)}. Nothing was written. Move them away, or write the project to a new folder with --out"
        )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
