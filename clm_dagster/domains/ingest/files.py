"""Input files: finding them, hashing their content, and checking their format.

Belongs here: paths, hashes, file formats. Does not: reading rows (`reading`), the meaning of columns (`adapter`),
writing rows (`landing`).
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clm_dagster.domains.ingest.errors import InputError

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".jsonl.gz": "json",
    ".ndjson.gz": "json",
}
# Names of the formats in messages.
FORMAT_NAMES = {"csv": "a CSV", "parquet": "Parquet", "json": "JSON lines"}
_MAGIC = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"<!DOC": "a web page",
    b"<html": "a web page",
}
_HEAD_BYTES = 4096

# Hashes of files that are already known: (path, size, time of modification) -> delivery_id.
Known = Mapping[tuple[str, int, int], str]


@dataclass(frozen=True)
class InputFile:
    """One input file. delivery_id: hash of its content."""

    path: Path
    relative: str
    format: str
    size: int
    mtime_ns: int
    delivery_id: str

    @property
    def is_gzip(self) -> bool:
        """Whether its name has the extension .gz."""
        return self.path.suffix.lower() == ".gz"

    def check_unchanged(self) -> None:
        """Raise InputError if the file has changed since it was hashed."""
        if _stamp(self.path) != (self.size, self.mtime_ns):
            raise InputError(
                f"{self.path} changed while it was read: another process is still writing it. Run again when it is "
                "complete."
            )


def find_paths(given: str) -> list[tuple[Path, str]]:
    """Return the files of an input (a file, a folder or a glob), each with its path relative to the input.

    Skip hidden files and files that start with an underscore. Raise InputError if there are none.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return [(path, path.name)]
    if path.is_dir():
        root, found = path, sorted(p for p in path.rglob("*") if p.is_file())
    else:
        root = Path(*_fixed_parts(path))
        found = sorted(p for p in root.glob(str(path.relative_to(root))) if p.is_file())
    kept = [
        (p, p.relative_to(root).as_posix())
        for p in found
        if not any(part.startswith((".", "_")) for part in p.relative_to(root).parts)
    ]
    if not kept:
        problem = "it does not exist"
        if found:
            problem = f"all {len(found)} files are hidden or start with an underscore"
        elif path.is_dir():
            problem = "the folder is empty"
        raise InputError(
            f"no input files at {given} (setting CLM_INPUT): {problem}. "
            f"Expected a file, a folder or a glob of {_formats()} files."
        )
    return kept


def fingerprint(path: Path, relative: str, known: Known) -> InputFile:
    """Determine the format and the content hash of a file; reuse the hash if path, size and time are known.

    Raise InputError for a file that is empty, has an unknown extension, or cannot be opened.
    """
    kind = next((FORMATS[s] for s in _suffixes(path) if s in FORMATS), None)
    if kind is None:
        raise InputError(f"{path}: unsupported file extension {path.suffix!r}; expected one of {_formats()}")
    with _os_errors(path):
        size, mtime_ns = _stamp(path)
        if size == 0:
            raise InputError(
                f"{path} is empty (0 bytes); expected {FORMAT_NAMES[kind]} with at least a header"
            )
        delivery = known.get((str(path.absolute()), size, mtime_ns)) or _hash(path)
    return InputFile(path, relative, kind, size, mtime_ns, delivery)


def read_head(file: InputFile, encoding: str) -> bytes:
    """Return the first bytes of a file, decompressed. Raise InputError if they do not match its extension."""
    with _os_errors(file.path):
        with file.path.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
        if file.is_gzip:
            _expect(file, head, "gzip", "gzip")
            try:
                with gzip.open(file.path) as unpacked:
                    head = unpacked.read(_HEAD_BYTES)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise damaged_gzip(file) from error
    if file.format == "parquet":
        _expect(file, head, "Parquet", "Parquet")
    elif (found := _kind_of(head)) or (b"\0" in head and encoding != "utf-16"):
        raise InputError(f"{file.path}: expected {FORMAT_NAMES[file.format]}, found {found or 'binary data'}")
    return head


def check_gzip(file: InputFile) -> None:
    """Decompress a whole gzip file. Raise InputError if it is truncated or damaged."""
    try:
        with _os_errors(file.path), gzip.open(file.path) as unpacked:
            while unpacked.read(1 << 20):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged_gzip(file) from error


def damaged_gzip(file: InputFile) -> InputError:
    """Return the error for a gzip file that cannot be decompressed."""
    return InputError(
        f"{file.path} is a truncated or damaged gzip file. Expected a complete .gz file; copy it again."
    )


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


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


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
    return ", ".join(FORMATS)
