"""`clm backup`: a consistent copy of all that a shop has stored.

Belongs here: which files are copied, and how each is read while nothing writes it. Does not: the form of the backup
(`archives`), locks (`guarding`).

Secrets are never copied: no `.env` file, and no `dagster.yaml` that seems to have a password.
"""

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clm_dagster.platform.mlflow_store.files import StoreFile
from clm_dagster.platform.warehouse_format import own_version
from clm_dagster.settings import LAST_RUN_FILE, Settings
from clm_dagster.storage import PSEUDONYM_KEY
from clm_dagster.upkeep.archives import SUFFIX, Manifest, written
from clm_dagster.upkeep.guarding import UpkeepError, own_dagster_home, still

# Folders of the data folder that are copied as they are.
_FOLDERS = ("landing", "mlartifacts", "connect", "reports")
_SQLITE = b"SQLite format 3\0"
_LOCKS_AND_LOGS = (".lock", "-wal", "-shm", "-journal", ".tmp")
# A password in a file of settings: a key with a value that no variable gives, or one in a URL.
_SECRET = re.compile(r"(password|secret|token|api_key)\s*:\s*[^\s{]|://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)
_CONFIG = "dagster.yaml"


@dataclass(frozen=True)
class BackedUp:
    """A complete backup."""

    path: Path
    manifest: Manifest


def back_up(settings: Settings, target: Path) -> BackedUp:
    """Copy all that the shop has stored to a new file (*.tar.zst) or folder. An existing folder gets a file.

    Raise UpkeepError if it exists, there is nothing to copy, or a run goes on; WarehouseBusyError.
    """
    now = datetime.now(UTC)
    target = target.expanduser().absolute()
    if target.is_dir():
        target = target / f"clm-{settings.source}-{now:%Y-%m-%d-%H%M%S}{SUFFIX}"
    if target.exists():
        raise UpkeepError(f"{target} exists; a backup never replaces a file. Give another name.")
    if target.is_relative_to(settings.data_dir.resolve()):
        raise UpkeepError(
            f"{target} is in the data folder, which a disk may lose as a whole. Give another folder."
        )
    if settings.has_lake:
        raise UpkeepError(
            "the warehouse is a lake, which `clm backup` does not copy. Back up the catalogue's database first "
            "(pg_dump), then the files of CLM_DATA_PATH: a file never changes, so the files may be newer."
        )
    if not settings.warehouse_path.exists():
        raise UpkeepError(
            f"there is no warehouse at {settings.warehouse_path}: nothing to back up. Run `clm run` first."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    left_out = _left_out(settings)
    with (
        still(settings, "clm backup"),
        tempfile.TemporaryDirectory(prefix=".clm-backup.", dir=target.parent) as scratch,
        written(target) as writer,
    ):
        for name, path in _files(settings):
            writer.add(name, _still_copy(path, Path(scratch)))
        manifest = Manifest(
            own_version(),
            f"{now:%Y-%m-%dT%H:%M:%SZ}",
            settings.source,
            settings.input,
            left_out,
            writer.files,
        )
        writer.add_manifest(manifest)
    return BackedUp(target, manifest)


def _files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield the name in the backup and the path of each file."""
    home = settings.data_dir.resolve()
    single = [settings.warehouse_path, Path(f"{settings.warehouse_path}.wal"), home / LAST_RUN_FILE]
    single.append(home / PSEUDONYM_KEY)
    folders = [home / name for name in _FOLDERS]
    if store := StoreFile.of(settings.tracking_uri, str(settings.artifact_dir)):
        single.append(store.path)
    if dagster := own_dagster_home(settings):
        folders.append(dagster)
    for path in (*single, *(path for folder in folders for path in _below(folder))):
        if path.is_file() and not _is_secret(path):
            yield f"data/{path.relative_to(home).as_posix()}", path
    if settings.adapters_dir is not None:
        own = settings.adapters_dir.expanduser().resolve()
        for path in _below(own):
            if not _is_secret(path):
                yield f"adapters/{path.relative_to(own).as_posix()}", path


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders, in order, without locks, logs and hidden files."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(_LOCKS_AND_LOGS):
                yield Path(root, name)


def _is_secret(path: Path) -> bool:
    if path.name.startswith(".env"):
        return True
    return path.name == _CONFIG and bool(_SECRET.search(path.read_text(errors="replace")))


def _still_copy(path: Path, scratch: Path) -> Path:
    """Return a file that does not change: the file itself, or for SQLite a consistent copy."""
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            return path
    copy = scratch / "copy.db"
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _left_out(settings: Settings) -> tuple[str, ...]:
    """Return what a backup of this shop does not have, as sentences."""
    found = [f"The files of the input {settings.input}; all rows of landed files are contained."]
    if any(_below(settings.data_dir.resolve() / "exports")):
        found.append("Files of exports, which may hold addresses; the ledger of what was sent is contained.")
    if StoreFile.of(settings.tracking_uri, str(settings.artifact_dir)) is None:
        found.append(
            "The MLflow store, which is not in the data folder (MLFLOW_TRACKING_URI): back up its server."
        )
    home = own_dagster_home(settings)
    if home is None:
        found.append("Dagster's runs and events, which are not in the data folder (DAGSTER_HOME).")
    elif (home / _CONFIG).exists():
        text = (home / _CONFIG).read_text(errors="replace")
        if re.search(r"^\s*(postgres|mysql)\s*:|dagster_postgres|dagster_mysql", text, re.MULTILINE):
            found.append(
                "Dagster's runs and events, which are in a database (dagster.yaml): back up its server."
            )
        if _SECRET.search(text):
            found.append(f"{home / _CONFIG}, which seems to contain a password.")
    found.append("Secrets: environment variables and .env files.")
    return tuple(found)
