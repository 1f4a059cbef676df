"""The two forms of a backup: one compressed file, or a folder. Files go in and come out with their hashes.

Belongs here: writing and reading both forms, the list of files. Does not: which files a backup has (`backup`), what is
done with them (`restore`).

    data/...       files by their place in the data folder
    adapters/...   the shop's own adapters
    manifest.json  hash and size of every other file; written last, so that an incomplete backup has none
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

import zstandard

from clm_dagster.upkeep.guarding import UpkeepError

SUFFIX = ".tar.zst"
MANIFEST = "manifest.json"
# Increases when an older version could not restore a backup.
FORMAT = 1
_CHUNK = 1 << 20
_BROKEN = (zstandard.ZstdError, tarfile.TarError, EOFError)


@dataclass(frozen=True)
class Manifest:
    """What a backup has. version: of this project. files: (sha256, size) by name. left_out: what it lacks, and why."""

    version: str
    created_at: str
    source: str
    input: str
    left_out: tuple[str, ...] = ()
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def size(self) -> int:
        """The number of bytes of all files."""
        return sum(size for _, size in self.files.values())


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class _Put(Protocol):
    def __call__(self, name: str, file: _Readable, size: int) -> None: ...


class Writer:
    """Writes the files of a backup, and notes their hashes."""

    def __init__(self, put: _Put) -> None:
        self._put = put
        self.files: dict[str, tuple[str, int]] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file that does not change meanwhile."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            hashing = _Hashing(file)
            self._put(name, hashing, size)
        self.files[name] = (hashing.digest(), size)

    def add_manifest(self, manifest: Manifest) -> None:
        """Add the list of files. Call it last."""
        content = (json.dumps(asdict(manifest), indent=1) + "\n").encode()
        self._put(MANIFEST, io.BytesIO(content), len(content))


class _Hashing(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._hash.update(content)
        return content

    def digest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def written(target: Path) -> Iterator[Writer]:
    """Write a backup. It gets its name once it is complete and on the disk.

    target: a file if its name ends in .tar.zst, else a folder.
    """
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        if target.name.endswith(SUFFIX):
            place = partial / target.name
            with place.open("xb") as file:
                compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
                with (
                    compressor.stream_writer(file, closefd=False) as packed,
                    tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
                ):
                    yield Writer(_put_into_archive(archive))
                file.flush()
                os.fsync(file.fileno())
        else:
            place = partial / "folder"
            place.mkdir()
            yield Writer(_put_into_folder(place))
        place.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_into_archive(archive: tarfile.TarFile) -> _Put:
    def put(name: str, file: _Readable, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        archive.addfile(info, file)

    return put


def _put_into_folder(folder: Path) -> _Put:
    def put(name: str, file: _Readable, size: int) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as copy:
            shutil.copyfileobj(file, copy, _CHUNK)
            copy.flush()
            os.fsync(copy.fileno())

    return put


def unpack(backup: Path, folder: Path) -> Manifest:
    """Write all files of a backup below a folder and check them. Raise UpkeepError if any is damaged or missing."""
    found: dict[str, tuple[str, int]] = {}
    manifest: dict[str, Any] | None = None
    name = "its start"
    try:
        for name, file in _members(backup):
            if name == MANIFEST:
                manifest = json.loads(file.read())
                continue
            target = folder / _safe(backup, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            hashing = _Hashing(file)
            with target.open("xb") as copy:
                shutil.copyfileobj(hashing, copy, _CHUNK)
                found[name] = (hashing.digest(), copy.tell())
    except (*_BROKEN, ValueError) as error:
        raise UpkeepError(
            f"{backup} is damaged at {name} ({error}). Nothing is restored; use another backup."
        ) from error
    if manifest is None:
        raise UpkeepError(
            f"{backup} has no {MANIFEST}, which is written last: it is incomplete, or no backup of `clm backup`. "
            "Nothing is restored; use another backup."
        )
    return _checked(backup, manifest, found)


def _checked(backup: Path, content: dict[str, Any], found: dict[str, tuple[str, int]]) -> Manifest:
    """Return the manifest if the files are as it says. Raise UpkeepError."""
    if content.get("format", 0) > FORMAT:
        raise UpkeepError(
            f"{backup} was made by clm_dagster {content.get('version')}, in a form that this version does not know. "
            "Install that version or a newer one to restore it."
        )
    files = {name: (digest, size) for name, (digest, size) in content.pop("files").items()}
    damaged = sorted(name for name, wanted in files.items() if found.get(name, wanted) != wanted)
    missing = sorted(files.keys() - found.keys())
    for names, what in ((damaged, "damaged"), (missing, "missing")):
        if names:
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            raise UpkeepError(
                f"{backup}: {', '.join(names[:3])}{more} {'is' if len(names) == 1 else 'are'} {what}. Nothing is "
                "restored; use another backup."
            )
    return Manifest(**content | {"files": files, "left_out": tuple(content["left_out"])})


def _members(backup: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files of a backup in order."""
    if backup.is_dir():
        for path in sorted(path for path in backup.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                yield path.relative_to(backup).as_posix(), file
        return
    with (
        backup.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as plain,
        tarfile.open(fileobj=plain, mode="r|") as archive,
    ):
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                yield member.name, content


def _safe(backup: Path, name: str) -> PurePosixPath:
    """Return the name of a file as a path below a folder. Raise UpkeepError for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UpkeepError(f"{backup}: {name} leads out of the folder. It was not made by `clm backup`.")
    return path
