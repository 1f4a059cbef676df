"""Compressed files as streams of bytes.

Belongs here: gzip and Zstandard, damaged files, and limits on what a compressed file may become. Does not: encodings.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from clm_dagster.domains.ingest.errors import InputError

CHUNK = 1 << 20
# Text rarely shrinks to a hundredth. A file that grows more than this, and beyond the size, is refused.
MAX_EXPANSION, _FREE_BYTES = 500, 1 << 28


def compression(path: Path) -> str:
    """Return `gz`, `zst`, or "" according to the name of a file."""
    suffix = path.suffix.lower().lstrip(".")
    return suffix if suffix in ("gz", "zst") else ""


def compression_option(path: Path) -> str:
    """Return the option of DuckDB's readers for a compressed file, with a comma before it."""
    name = {"gz": "gzip", "zst": "zstd"}.get(compression(path))
    return f", compression = '{name}'" if name else ""


@contextmanager
def open_bytes(path: Path, shown: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file, decompressed. shown: its name in messages. Raise InputError if it is damaged or grows too much."""
    name = shown or path
    kind = compression(path)
    try:
        with path.open("rb") as raw:
            if kind == "gz":
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast(BinaryIO, Limited(cast(BinaryIO, unpacked), path.stat().st_size, name))
            elif kind == "zst":
                import zstandard

                reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
                yield cast(
                    BinaryIO, Limited(cast(BinaryIO, _WholeFrames(reader, path)), path.stat().st_size, name)
                )
            else:
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(name, kind) from error
    except Exception as error:
        if type(error).__name__ == "ZstdError":
            raise damaged(name, kind) from error
        raise


def damaged(name: Path, kind: str) -> InputError:
    """Return the error for a compressed file that cannot be unpacked."""
    what = {"gz": "gzip", "zst": "Zstandard", "zip": "zip"}.get(kind, kind)
    return InputError(
        f"{name} is a truncated or damaged {what} file. Expected a complete .{kind} file; copy it again."
    )


class Raw(io.RawIOBase):
    """A stream of bytes for Python's buffered reader, which needs readinto."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer."""
        view = memoryview(cast(bytearray, buffer))
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


class Limited(io.RawIOBase):
    """A stream that raises InputError once it has become far larger than its compressed size."""

    def __init__(self, stream: BinaryIO, packed: int, name: Path) -> None:
        self._stream, self._name = stream, name
        self._allowed = max(_FREE_BYTES, packed * MAX_EXPANSION)

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes."""
        data = self._stream.read(size if size >= 0 else self._allowed + 1)
        self._allowed -= len(data)
        if self._allowed < 0:
            raise InputError(
                f"{self._name} unpacks to more than {MAX_EXPANSION} times its size; expected compressed text. "
                "Is it a damaged or hostile archive? Unpack it yourself if it is right."
            )
        return data

    def readinto(self, buffer: object) -> int:
        """Fill a buffer."""
        view = memoryview(cast(bytearray, buffer))
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class _WholeFrames(io.RawIOBase):
    """A Zstandard stream that raises EOFError if the file ends within a frame, which the library does not."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._path, self._checked = stream, path, False

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes."""
        data = self._stream.read(size)
        if not data and size != 0 and not self._checked:
            self._checked = True
            if not _ends_with_a_frame(self._path):
                raise EOFError
        return data


def _ends_with_a_frame(path: Path) -> bool:
    import zstandard

    with path.open("rb") as raw:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        whole = True
        while chunk := raw.read(CHUNK):
            while chunk:
                decompressor.decompress(chunk)
                whole = decompressor.eof
                chunk = decompressor.unused_data if whole else b""
                if whole:
                    decompressor = zstandard.ZstdDecompressor().decompressobj()
    return whole
