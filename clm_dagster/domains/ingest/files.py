"""A shop's files: finding them, telling them apart by content, and what their first bytes say they are.

Belongs here: paths, fingerprints, kinds of file. Does not: their rows (`reading`), what a column means
(`adapter`), where rows go (`landing`).
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
# How a format is called in a message.
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

# What a file of a known path, size and time of change was when it was hashed.
Known = Mapping[tuple[str, int, int], str]


@dataclass(frozen=True)
class InputFile:
    """One file of a delivery. `delivery_id` is a hash of its content."""

    path: Path
    relative: str
    format: str
    size: int
    mtime_ns: int
    delivery_id: str

    @property
    def is_gzip(self) -> bool:
        """Whether its name says that it is compressed."""
        return self.path.suffix.lower() == ".gz"

    def check_unchanged(self) -> None:
        """Raise InputError if the file is another than the one that was hashed."""
        if _stamp(self.path) != (self.size, self.mtime_ns):
            raise InputError(
                f"{self.path} changed while it was read: something still writes it. Run again when it is whole."
            )


def find_paths(given: str) -> list[tuple[Path, str]]:
    """Files that an input (file, folder or glob) stands for, each with its name relative to it.

    Hidden files and those that begin with an underscore are passed over. Raise InputError.
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
        there = "nothing is there"
        if found:
            there = f"all {len(found)} files there are hidden or begin with an underscore"
        elif path.is_dir():
            there = "it is an empty folder"
        raise InputError(
            f"no input at {given} (setting CLM_INPUT): {there}. "
            f"Expected a file, a folder or a glob of {_formats()} files."
        )
    return kept


def fingerprint(path: Path, relative: str, known: Known) -> InputFile:
    """Hash a file, unless one of its path, size and time is known, and look at its kind.

    Raise InputError for one that is empty, of no known kind, or cannot be opened.
    """
    kind = next((FORMATS[s] for s in _suffixes(path) if s in FORMATS), None)
    if kind is None:
        raise InputError(
            f"{path}: files ending in {path.suffix or 'nothing'} are not read; expected {_formats()}"
        )
    with _opening(path):
        size, mtime_ns = _stamp(path)
        if size == 0:
            raise InputError(
                f"{path} is empty (0 bytes); expected {FORMAT_NAMES[kind]} with at least a header"
            )
        delivery = known.get((str(path.absolute()), size, mtime_ns)) or _hash(path)
    return InputFile(path, relative, kind, size, mtime_ns, delivery)


def head_of(file: InputFile, encoding: str) -> bytes:
    """The first bytes of a file, unpacked. Raise InputError if they are of another kind than its name says."""
    with _opening(file.path):
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
    """Unpack a whole gzip file. Raise InputError if it is cut off or damaged."""
    try:
        with _opening(file.path), gzip.open(file.path) as unpacked:
            while unpacked.read(1 << 20):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged_gzip(file) from error


def damaged_gzip(file: InputFile) -> InputError:
    """What to say of a compressed file that cannot be unpacked."""
    return InputError(
        f"{file.path} is a truncated or damaged gzip file: its stream ends early or makes no sense. "
        "Expected a whole .gz file; copy it again."
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
def _opening(path: Path) -> Iterator[None]:
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
