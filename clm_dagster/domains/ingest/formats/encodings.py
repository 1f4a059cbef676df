"""The encoding of a text file: found, confirmed by decoding the whole file, and converted to UTF-8 as a stream.

Belongs here: byte order marks, UTF-16 and UTF-32 without one, older encodings by charset-normalizer. Does not:
delimiters (`dialects`).

Order: a byte order mark, zero bytes (UTF-16 and UTF-32), UTF-8, then older encodings. Only a bounded sample is
examined, but the whole file has to be decodable.
"""

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats.commonness import score
from clm_dagster.domains.ingest.formats.streams import CHUNK, open_bytes

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Plausible encodings of a shop's export, the likelier first where two fit equally well.
_PLAUSIBLE = (
    "cp1252", "gb18030", "cp932", "big5", "cp949", "euc_jp", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255",
    "cp1256", "cp1257", "cp1258", "koi8_r", "iso8859_15",
    "iso8859_2", "iso8859_5", "iso8859_7", "iso8859_9",
    "cp874", "cp850", "cp852", "cp866", "mac_roman",
)  # fmt: skip
# Common Korean syllables and common Chinese ideographs have the same bytes. So many syllables are no coincidence.
_KOREAN = 12
# So many letters show a language.
_ENOUGH = 30
_HEAD, _SAMPLE = 1 << 16, 1 << 16
_NAMES = {"utf-8-sig": "UTF-8 with BOM", "utf-8": "UTF-8", "gb18030": "GB18030 (GBK)"}


@dataclass(frozen=True)
class Found:
    """The encoding of a file: a Python codec, and remarks for the user."""

    codec: str
    notes: list[str] = field(default_factory=list)

    @property
    def is_utf8(self) -> bool:
        """Whether DuckDB reads the file without a copy."""
        return self.codec in ("utf-8", "utf-8-sig")

    @property
    def name(self) -> str:
        """The name for messages."""
        return _NAMES.get(self.codec, self.codec)


def is_codec(name: object) -> bool:
    """Whether Python knows a text encoding of this name."""
    try:
        return codecs.lookup(str(name))._is_text_encoding
    except LookupError:
        return False


def find_encoding(path: Path, shown: Path, declared: str | None) -> Found:
    """Return the encoding of a file and confirm it. declared: the setting csv.encoding.

    Raise InputError with the line of the first byte that does not fit.
    """
    with open_bytes(path, shown) as stream:
        head = _read(stream, _HEAD)
    mark = next((codec for mark, codec in _MARKS if head.startswith(mark)), None)
    if mark:
        notes = []
        if declared and not _same(declared, mark):
            notes.append(f"csv.encoding says {declared}, but the byte order mark says {mark}")
        _confirm(path, shown, mark)
        return Found(mark, notes)
    if declared:
        return _declared(path, shown, declared)
    wide = _wide(head)
    if wide:
        _confirm(path, shown, wide)
        return Found(wide)
    if b"\0" in head:
        raise InputError(f"{shown}: expected a CSV or other text, found binary data")
    bad = _first_bad(path, shown, "utf-8")
    return Found("utf-8") if bad is None else _older(path, shown, bad)


def to_utf8(path: Path, shown: Path, codec: str, target: Path) -> None:
    """Write a file in UTF-8 without a byte order mark, unpacked, in bounded memory."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    with open_bytes(path, shown) as stream, target.open("w", encoding="utf-8", newline="") as out:
        while chunk := stream.read(CHUNK):
            out.write(decoder.decode(chunk))
        out.write(decoder.decode(b"", final=True))


def _declared(path: Path, shown: Path, declared: str) -> Found:
    codec = codecs.lookup(declared).name
    if codec == "iso8859-1" and _has_c1(path, shown):
        _confirm(path, shown, "cp1252")
        return Found(
            "cp1252",
            [
                f"csv.encoding says {declared}, but the bytes 0x80 to 0x9f belong to Windows-1252; read as cp1252"
            ],
        )
    _confirm(path, shown, codec)
    return Found(codec)


def _older(path: Path, shown: Path, bad: int) -> Found:
    """Return the encoding of a file that is not UTF-8 from byte `bad` on."""
    sample = _sample(path, shown)
    text = sample.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    if sum(ord(char) > 127 for char in text) - broken > broken:
        # Mostly valid UTF-8: one file in two encodings, which no single encoding reads rightly.
        raise _not_readable(path, shown, bad, "UTF-8")
    for codec in _ranked(sample):
        if _first_bad(path, shown, codec) is None:
            return Found(codec)
    raise _not_readable(path, shown, bad, "UTF-8")


def _ranked(sample: bytes) -> list[str]:
    """Return plausible encodings of a sample, the best first.

    charset-normalizer knows the languages of longer texts; the commonness of characters decides short ones, where it
    has little to go by.
    """
    from charset_normalizer import from_bytes

    plausible = [name for name in _PLAUSIBLE if _decodes(sample, name)]
    matches = list(from_bytes(sample, cp_isolation=plausible, threshold=0.5)) if plausible else []
    coherent = {match.encoding: match.coherence for match in matches}

    def rank(codec: str) -> tuple[float, int]:
        text = sample.decode(codec)
        common = score(text, codec)
        letters = sum(ord(char) > 127 and char.isalpha() for char in text)
        if letters >= _ENOUGH:
            common += 0.3 * coherent.get(codec, 0.0)
        if codec == "cp949" and letters >= _KOREAN:
            common += 0.03
        return (round(common, 3), -_PLAUSIBLE.index(codec))

    return sorted((c for c in plausible if rank(c)[0] > 0.2), key=rank, reverse=True)


def _decodes(sample: bytes, codec: str) -> bool:
    try:
        codecs.getincrementaldecoder(codec)("strict").decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _sample(path: Path, shown: Path) -> bytes:
    """Return lines with bytes above 127, up to a size, from the whole file: most files are mostly ASCII."""
    found = bytearray()
    with open_bytes(path, shown) as stream:
        rest = b""
        while len(found) < _SAMPLE and (chunk := stream.read(CHUNK)):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-CHUNK:]
            for line in lines:
                if not line.isascii() and len(found) < _SAMPLE:
                    found += line[:_SAMPLE] + b"\n"
        if len(found) < _SAMPLE and not rest.isascii():
            found += rest
    return bytes(found)


def _wide(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 without a byte order mark, according to where the zero bytes are."""
    size = len(head) // 4 * 4
    if size < 8 or b"\0" not in head:
        return None
    zeros = [head[n:size:4].count(0) / (size / 4) for n in range(4)]
    if min(zeros[2], zeros[3]) > 0.8 and zeros[0] < 0.1:
        return "utf-32-le"
    if min(zeros[0], zeros[1]) > 0.8 and zeros[3] < 0.1:
        return "utf-32-be"
    even, odd = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    for codec, zero, other in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zero > 0.05 and zero > 20 * other:
            return codec
    return None


def _has_c1(path: Path, shown: Path) -> bool:
    with open_bytes(path, shown) as stream:
        while chunk := stream.read(CHUNK):
            if re.search(rb"[\x80-\x9f]", chunk):
                return True
    return False


def _first_bad(path: Path, shown: Path, codec: str) -> int | None:
    """Return the offset of the first byte that cannot be decoded, None if all can."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    done = 0
    with open_bytes(path, shown) as stream:
        while True:
            chunk = stream.read(CHUNK)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return max(0, done - pending + error.start)
            if not chunk:
                return None
            done += len(chunk)


def _confirm(path: Path, shown: Path, codec: str) -> None:
    bad = _first_bad(path, shown, codec)
    if bad is not None:
        raise _not_readable(path, shown, bad, codec.upper())


def _not_readable(path: Path, shown: Path, offset: int, codec: str) -> InputError:
    line, left = 1, offset
    found = b""
    with open_bytes(path, shown) as stream:
        while left and (chunk := stream.read(min(CHUNK, left))):
            line, left = line + chunk.count(b"\n"), left - len(chunk)
        found = stream.read(4)
    return InputError(
        f"{shown}, line {line}: found bytes that are not {codec} ({found.hex(' ')}), expected one encoding throughout. "
        "Save the file as UTF-8, or set csv.encoding in the adapter (any encoding that Python knows, for example "
        "cp1252 or gbk)."
    )


def _same(declared: str, mark: str) -> bool:
    plain = codecs.lookup(declared).name.replace("-sig", "")
    return plain.startswith(mark.replace("-sig", ""))


def _read(stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size > 0 and (chunk := stream.read(size)):
        parts.append(chunk)
        size -= len(chunk)
    return b"".join(parts)
