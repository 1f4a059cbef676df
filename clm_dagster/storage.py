"""Stored files: private, written atomically, and what to do where the disk refuses them.

Belongs here: permissions, atomic writes, the meaning of errors of the disk. Does not: the contents of any file, where
files are (`settings`).

The data folder holds customer data, so only its owner may read it. A process of this project creates all files so from
its start (`private_umask`). Permissions that an earlier version gave are withdrawn when a command opens the folder
(`make_private`).
"""

import errno
import json
import logging
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

from clm_dagster.errors import UserError

log = logging.getLogger(__name__)
_UMASK = 0o077
_FOLDER, _FILE = 0o700, 0o600
# The key of the pseudonyms of customers on the page of the report.
PSEUDONYM_KEY = "pseudonyms.key"
# What this project writes into a data folder, by the start of the name. Anything else there, such as an inbox, is the
# user's.
_OWN = (
    "clm.duckdb",
    "mlflow.db",
    "mlartifacts",
    "last_run.",
    "landing",
    "dagster",
    "published",
    "cache",
    "connect",
    "alerts.",
    "exports",
    "reports",
    PSEUDONYM_KEY,
)
_OWN_FILES_OF_USERS = ("inbox", "demo")
_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|database or disk is full|"
    r"There is not enough space on the disk|max_temp_directory_size|disk I/O error",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"Permission denied|Read-only file system|readonly database|unable to open database file|"
    r"Operation not permitted",
    re.IGNORECASE,
)
_BROKEN = re.compile(
    r"not a valid DuckDB database file|Corrupt database file|database disk image is malformed|"
    r"file is not a database|Computed checksum|could not read enough bytes|Failed to deserialize|"
    r"reached the end of the file|Could not read from file|No magic bytes found|too small to be a Parquet file|"
    r"Failed to load metadata pointer",
    re.IGNORECASE,
)
# A path in quotes, as Python, DuckDB and this project write it.
_PATH = re.compile(r"[\"'](/[^\"'\n]+)[\"']")
_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.EROFS: _REFUSED,
}


class StorageError(UserError, OSError):
    """A disk refused to store a file, or a stored file is damaged. The message says what to do."""


def private_umask() -> None:
    """Let this process, and those that it starts, create files that only the user can read."""
    os.umask(_UMASK)


def make_private(folder: Path) -> None:
    """Create a data folder that only the user can read, or withdraw the permissions of others on what it holds.

    A folder that also holds files of the user keeps its own permissions, and so do those files. A folder that is
    private already is not walked again.
    """
    if not folder.exists():
        # Another process may create it at the same time.
        folder.mkdir(parents=True, mode=_FOLDER, exist_ok=True)
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries]
    own = [path for path in found if path.name.startswith(_OWN)]
    for path in own:
        restrict(path)
    if len(own) == len([path for path in found if path.name not in _OWN_FILES_OF_USERS]):
        _chmod(folder, _FOLDER)


def restrict(path: Path) -> None:
    """Withdraw the permissions of others on a file, or on a folder and all that it holds, if they have any."""
    if path.is_symlink() or not path.exists() or not _is_open(path):
        return
    if path.is_dir():
        # The folder itself last: if this is interrupted, the next call does the rest.
        for each in _below(path):
            _chmod(each, _FOLDER if each.is_dir() else _FILE)
        _chmod(path, _FOLDER)
    else:
        _chmod(path, _FILE)


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            if not path.is_symlink():
                yield path


def _is_open(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & _UMASK)


def _chmod(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except FileNotFoundError:
        return  # another process has replaced it
    except PermissionError:
        log.warning("%s can be read by other users, and belongs to one of them: chmod %o failed", path, mode)
    except OSError as error:
        if (
            error.errno != errno.EROFS
        ):  # a file that a deployment mounts read-only, such as dagster.yaml, is its own
            raise


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file with a text or bytes: readers see the old content or the new one. Create its missing folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    # A name of its own: another process may write the same file.
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False) as scratch:
        written = Path(scratch.name)
        try:
            scratch.write(data)
            scratch.close()
            written.replace(path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise


def write_json(path: Path, content: object) -> None:
    """Replace a file with JSON, atomically."""
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def explained(error: BaseException, folder: Path) -> StorageError | None:
    """Return the error of a disk, or of a damaged file, for the user; None for any other error.

    folder: the data folder, for errors that name no path.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        text = str(current)
        kind = (_ERRNO.get(current.errno or 0) if isinstance(current, OSError) else None) or _kind(text)
        if kind is not None:
            named = str(current.filename) if isinstance(current, OSError) and current.filename else None
            path = _path_in(text, Path(named) if named else folder)
            line = text.strip().splitlines()[0] if text.strip() else type(current).__name__
            return StorageError(f"{line}\n{_advice(kind, path)}")
        current = current.__cause__ or current.__context__
    return None


def remedy(text: str, folder: Path) -> str | None:
    """Return what to do about an error of a disk that a message names; None if it names none.

    folder: the data folder, for messages that name no path.
    """
    kind = _kind(text)
    return None if kind is None else _advice(kind, _path_in(text, folder))


def _kind(text: str) -> re.Pattern[str] | None:
    return next((kind for kind in (_FULL, _REFUSED, _BROKEN) if kind.search(text)), None)


def _path_in(text: str, otherwise: Path) -> Path:
    found = _PATH.search(text)
    return Path(found[1]) if found else otherwise


def _advice(kind: re.Pattern[str], path: Path) -> str:
    if kind is _FULL:
        return (
            f"The disk is full, or a quota or limit on the size of files is reached: {_free(path)}. Make room and run "
            "again; what is finished is kept, and nothing half-written counts. CLM_DATA_DIR chooses another disk for "
            "the data folder."
        )
    if kind is _REFUSED:
        return (
            f"This user ({_user()}) may not write there: {_owner(path)}. Give the user the right to write, or choose "
            "another folder with CLM_DATA_DIR."
        )
    damaged = f"{path} is damaged, perhaps cut short by a full disk or an incomplete copy."
    if path.parent.name == "published":
        return f"{damaged} It is a copy of the warehouse: run `clm run`, which makes it again."
    return (
        f"{damaged} Restore it from a backup, or move it away and run again: `clm run` builds what it held anew from "
        "the landed files."
    )


def _free(path: Path) -> str:
    place = _existing(path)
    return f"{shutil.disk_usage(place).free / 1e6:,.0f} MB are free at {place}"


def _owner(path: Path) -> str:
    place = _existing(path)
    found = place.stat()
    try:
        name = place.owner()
    except KeyError:  # a user id without a name, as in containers
        name = f"user {found.st_uid}"
    is_read_only = bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    where = ", on a file system that is mounted read-only" if is_read_only else ""
    return f"{place} belongs to {name}, mode {stat.S_IMODE(found.st_mode):o}{where}"


def _existing(path: Path) -> Path:
    """Return the path, or the first folder above it that exists and can be seen."""
    for place in (path.absolute(), *path.absolute().parents):
        try:
            if place.exists():
                return place
        except PermissionError:
            continue
    return Path("/")


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        return f"id {os.geteuid()}"
