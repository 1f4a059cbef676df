"""Zip archives: each member is a file of its own.

Belongs here: listing, hashing and unpacking members, in bounded memory. Does not: the formats of the members.
"""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats.streams import CHUNK, Limited, damaged

# Folders and files that operating systems add.
_JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")


def members(path: Path) -> list[str]:
    """Return the names of the files in an archive. Raise InputError if it is damaged or holds none."""
    with _open(path) as archive:
        found = [info.filename for info in archive.infolist() if not info.is_dir()]
    kept = [name for name in found if not _is_junk(name)]
    if not kept:
        raise InputError(f"{path} is an empty zip archive; expected at least one file in it")
    return kept


def hash_member(path: Path, member: str) -> str:
    """Return a hash of the content of a member."""
    digest = hashlib.sha256()
    _copy(path, member, digest.update)
    return digest.hexdigest()[:16]


def unpack(path: Path, member: str, target: Path) -> None:
    """Write a member to a file."""
    with target.open("wb") as out:
        _copy(path, member, out.write)


def _copy(path: Path, member: str, write: object) -> None:
    assert callable(write)
    try:
        with _open(path) as archive, archive.open(member) as stream:
            packed = archive.getinfo(member).compress_size
            limited = Limited(cast(BinaryIO, stream), packed, path / member)
            while chunk := limited.read(CHUNK):
                write(chunk)
    except (zlib.error, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise damaged(path / member, "zip") from error
    except RuntimeError as error:  # zipfile's error for an encrypted member
        raise InputError(
            f"{path / member} cannot be unpacked: {error}; save the archive without a password"
        ) from error


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path} is a truncated or damaged zip archive ({error}). Expected a complete .zip file; copy it again."
        ) from error


def _is_junk(name: str) -> bool:
    parts = name.split("/")
    return any(part in _JUNK or part.startswith(".") for part in parts)
