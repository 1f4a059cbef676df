"""Input files: finding them, hashing their content, and checking their format.

Belongs here: paths, hashes, file formats. Does not: reading rows (`reading`), the meaning of columns (`adapter`),
writing rows (`landing`).
"""

import gzip
import hashlib
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats import archives, workbooks
from clm_dagster.domains.ingest.formats.streams import compression, open_bytes

_TEXT = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
FORMATS = (
    _TEXT
    | {f"{suffix}.{packed}": kind for packed in ("gz", "zst") for suffix, kind in _TEXT.items()}
    | {".parquet": "parquet"}
    | dict.fromkeys(workbooks.SUFFIXES, "workbook")
)
ARCHIVE = ".zip"
# Names of the formats in messages.
FORMAT_NAMES = {"csv": "a CSV", "parquet": "Parquet", "json": "JSON", "workbook": "a workbook"}
_MAGIC = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"<!DOC": "a web page",
    b"<html": "a web page",
}
_HEAD_BYTES = 4096

# Hashes of files that are already known: (path, size, times of modification and of change) -> delivery_id. A program
# can write other content and set back the first time, but not the second.
Known = MutableMapping[tuple[str, int, int, int], str]


@dataclass(frozen=True)
class Place:
    """Where a file is. path: its path, for a member of an archive one below the archive's. relative: to the input."""

    path: Path
    relative: str
    archive: Path | None = None

    @property
    def member(self) -> str:
        """The name within the archive, else the path relative to the input."""
        return self.path.relative_to(self.archive).as_posix() if self.archive else self.relative


@dataclass(frozen=True)
class Inbox:
    """The files of an input. skipped: relative path -> why it is not read."""

    places: list[Place]
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InputFile:
    """One input file. delivery_id: hash of its content. archive: the zip archive that holds it, if any."""

    path: Path
    relative: str
    format: str
    size: int
    mtime_ns: int
    delivery_id: str
    archive: Path | None = None

    def check_unchanged(self) -> None:
        """Raise InputError if the file has changed since it was hashed."""
        if _stamp(self.archive or self.path)[:2] != (self.size, self.mtime_ns):
            raise InputError(
                f"{self.path} changed while it was read: another process is still writing it. Run again when it is "
                "complete."
            )


def find_paths(given: str) -> list[tuple[Path, str]]:
    """Return the files of an input (a file, a folder or a glob), each with its path relative to the input.

    Skip hidden files and files that start with an underscore. Raise InputError if there are none.
    """
    return _find(given)[0]


def list_inbox(given: str) -> Inbox:
    """Return the files of an input, the members of zip archives included, and what is not read and why.

    A symbolic link to a file is read, one to a folder is not: it may lead anywhere, and in circles. Raise InputError.
    """
    found, skipped = _find(given)
    places: list[Place] = []
    for path, relative in found:
        if path.suffix.lower() != ARCHIVE:
            places.append(Place(path, relative))
            continue
        with _os_errors(path):
            names = archives.members(path)
        for name in names:
            if name.lower().endswith(ARCHIVE):
                skipped[f"{relative}/{name}"] = "an archive within an archive; unpack it"
            else:
                places.append(Place(path / name, f"{relative}/{name}", path))
    return Inbox(places, skipped)


def _find(given: str) -> tuple[list[tuple[Path, str]], dict[str, str]]:
    path = Path(given).expanduser()
    if printable(given) != given:
        raise InputError(
            f"the name of the input {printable(given)} is not UTF-8, which DuckDB needs; rename it (setting CLM_INPUT)"
        )
    if path.is_file():
        return [(path, path.name)], {}
    if path.is_dir():
        root, found = path, sorted(_walk(path))
    else:
        root = Path(*_fixed_parts(path))
        found = sorted(root.glob(str(path.relative_to(root))))
    kept: list[tuple[Path, str]] = []
    skipped: dict[str, str] = {}
    hidden = 0
    for each in found:
        parts = each.relative_to(root).parts
        relative = each.relative_to(root).as_posix()
        if any(part.startswith(".") for part in parts):
            hidden += each.is_file()
        elif (name := printable(relative)) != relative:
            skipped[name] = "its name is not UTF-8, which DuckDB needs; rename it"
        elif any(part.startswith("_") for part in parts):
            hidden += each.is_file()
            if each.is_file():
                skipped[relative] = "its name or folder starts with an underscore"
        elif each.is_symlink() and not each.exists():
            skipped[relative] = "a symbolic link to nothing"
        elif each.is_symlink() and each.is_dir():
            skipped[relative] = "a symbolic link to a folder, which is not followed; give the folder itself"
        elif each.is_file():
            kept.append((each, relative))
    if not kept:
        problem = "it does not exist"
        if hidden:
            problem = f"all {hidden} files are hidden or start with an underscore"
        elif skipped:
            problem = "; ".join(f"{name}: {why}" for name, why in skipped.items())
        elif path.is_dir():
            problem = "the folder is empty"
        raise InputError(
            f"no input files at {given} (setting CLM_INPUT): {problem}. "
            f"Expected a file, a folder or a glob of {_formats()} files."
        )
    return kept, skipped


def printable(name: str) -> str:
    """Return a file name as text that can be stored and shown: bytes that are not UTF-8 as `\\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, and symbolic links to folders without what is behind them."""
    for root, folders, names in os.walk(folder):
        yield from (Path(root, name) for name in names)
        yield from (Path(root, name) for name in folders if Path(root, name).is_symlink())


def format_of(path: Path) -> str | None:
    """Return the format of a file according to its name, None if it is none that can be read."""
    return next((FORMATS[s] for s in _suffixes(path) if s in FORMATS), None)


def fingerprint(place: Place, known: Known) -> InputFile:
    """Determine the format and the content hash of a file; reuse the hash if path, size and times are known.

    A hash that is computed is added to `known`.

    Raise InputError for a file that is empty, has an unknown extension, or cannot be opened.
    """
    path, on_disk = place.path, place.archive or place.path
    kind = format_of(path)
    if kind is None:
        raise InputError(f"{path}: unsupported file extension {path.suffix!r}; expected one of {_formats()}")
    with _os_errors(on_disk):
        size, mtime_ns, changed_ns = _stamp(on_disk)
        if size == 0:
            raise InputError(
                f"{path} is empty (0 bytes); expected {FORMAT_NAMES[kind]} with at least a header"
            )
        stamp = (str(path.absolute()), size, mtime_ns, changed_ns)
        delivery = known.get(stamp)
        if delivery is None:
            delivery = known[stamp] = (
                archives.hash_member(place.archive, place.member) if place.archive else _hash(path)
            )
    return InputFile(path, place.relative, kind, size, mtime_ns, delivery, place.archive)


def check_head(file: InputFile, local: Path) -> None:
    """Raise InputError if the first bytes of a file do not match its extension. local: where its content is."""
    with _os_errors(file.path):
        with local.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
        if not head:
            raise InputError(
                f"{file.path} is empty (0 bytes); expected {FORMAT_NAMES[file.format]} with at least a header"
            )
        packed = {"gz": "gzip", "zst": "Zstandard"}.get(compression(local))
        if packed:
            _expect(file, head, packed, packed)
            with open_bytes(local, file.path) as unpacked:
                head = unpacked.read(_HEAD_BYTES)
    if file.format == "parquet":
        _expect(file, head, "Parquet", "Parquet")
    elif file.format != "workbook" and (found := _kind_of(head)):
        raise InputError(f"{file.path}: expected {FORMAT_NAMES[file.format]}, found {found}")


def _expect(file: InputFile, head: bytes, kind: str, name: str) -> None:
    found = _kind_of(head)
    if found != kind:
        raise InputError(f"{file.path}: expected {name}, found {found or 'plain text or other bytes'}")


def _kind_of(head: bytes) -> str | None:
    return next((what for magic, what in _MAGIC.items() if head.startswith(magic)), None)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    """Raise InputError for an OSError, except for a damaged gzip file."""
    try:
        yield
    except gzip.BadGzipFile:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _suffixes(path: Path) -> list[str]:
    parts = [s.lower() for s in path.suffixes]
    return ["".join(parts[-2:]), parts[-1]] if parts else []


def _fixed_parts(path: Path) -> list[str]:
    fixed = []
    for part in path.parts[:-1]:
        if any(c in part for c in "*?["):
            break
        fixed.append(part)
    return fixed or ["."]


def _formats() -> str:
    """Return the extensions for messages: those of compressed text are shown as one."""
    plain = [suffix for suffix in FORMATS if suffix.count(".") == 1]
    return ", ".join([*plain, ARCHIVE, "and .gz or .zst of text"])
