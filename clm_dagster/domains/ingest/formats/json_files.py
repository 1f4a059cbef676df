"""JSON files as rows of text: lines, arrays, and an object around one array; nested objects become `customer.id`.

Belongs here: the shape of a JSON file, its keys at all depths, duplicate keys. Does not: encodings.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats.streams import Raw, compression_option, open_bytes
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection

# An object with more keys is a map with keys of its own (ids, days), which are no columns.
_MAX_KEYS, _MAX_DEPTH = 200, 6
_MAX_WRAPPER = 1 << 28

Path_ = tuple[str, ...]


@dataclass(frozen=True)
class JsonShape:
    """The columns of a JSON file: name -> path of keys. array: whether the file is one array."""

    columns: dict[str, Path_]
    array: bool


def reader(path: Path, array: bool) -> str:
    """Return SQL for a relation with a column `json`, one row per object."""
    packed = compression_option(path)
    if array:
        return f"read_json_objects({quoting.paths([path])}, format = 'array', maximum_object_size = 67108864{packed})"
    return f"read_ndjson_objects({quoting.paths([path])}, maximum_object_size = 67108864{packed})"


def is_array(path: Path, shown: Path) -> bool:
    """Whether a file is one array of objects."""
    with open_bytes(path, shown) as stream:
        head = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head.startswith(b"["):
        return False
    # A line that is an array of its own is a wrong JSON line, and said so.
    return head[1:].lstrip()[:1] in (b"{", b"]") or not path.name.lower().split(".json")[-1].startswith("l")


def unwrap(path: Path, shown: Path, target: Path) -> bool:
    """Write the rows of one object that holds one array of objects as JSON lines. Return whether it is such a file.

    Also takes one object written over several lines, as one row.
    """
    with open_bytes(path, shown) as stream:
        content = stream.read(_MAX_WRAPPER + 1)
    if len(content) > _MAX_WRAPPER:
        return False
    try:
        parsed = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=lambda pairs: _unique(pairs, shown)
        )
    except ValueError:
        return False
    if not isinstance(parsed, dict):
        return False
    arrays = [v for v in parsed.values() if isinstance(v, list) and v and all(isinstance(i, dict) for i in v)]
    rows = arrays[0] if len(arrays) == 1 and len(parsed) <= 3 else [parsed]
    with target.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return True


def shape(connection: Connection, relation: str, shown: Path, array: bool) -> JsonShape:
    """Return the columns of a file. Raise InputError for other rows than objects, and for duplicate keys."""
    found = connection.execute(f"select distinct json_type(json) from {relation}")
    others = sorted({str(kind).lower() for (kind,) in found if kind != "OBJECT"})
    if others:
        expected = "an array of JSON objects" if array else "one JSON object on each line"
        raise InputError(f"{shown}: expected {expected}, found {', '.join(others)}")
    columns: dict[str, Path_] = {}
    for path in _paths(connection, relation, shown, (), 0):
        name = ".".join(path)
        if name in columns:
            raise InputError(
                f"{shown}: found the key {name!r} and nested keys of the same name; expected unique names of columns"
            )
        columns[name] = path
    return JsonShape(columns, array)


def broken(path: Path, shown: Path, array: bool) -> InputError:
    """Return the error for a file that is no valid JSON, with its line."""
    if array:
        with open_bytes(path, shown) as stream:
            try:
                json.loads(stream.read(_MAX_WRAPPER).decode("utf-8-sig"))
            except ValueError as error:
                return InputError(
                    f"{shown}: expected an array of JSON objects, found {error}. Is the file truncated?"
                )
        return InputError(f"{shown}: expected an array of JSON objects, found something else")
    with open_bytes(path, shown) as stream:
        for number, line in enumerate(io.BufferedReader(Raw(stream)), 1):
            try:
                json.loads(line)
            except ValueError as error:
                return InputError(
                    f"{shown}, line {number}: expected one JSON object on each line, found {error}"
                )
    return InputError(f"{shown}: expected one JSON object on each line, found something else")


def value(path: Path_) -> str:
    """Return SQL for the text of a key; null for an empty text."""
    return f"nullif(json ->> {quoting.text(_pointer(path))}, '')"


def _paths(connection: Connection, relation: str, shown: Path, prefix: Path_, depth: int) -> Iterator[Path_]:
    inner = f"json_extract(json, {quoting.text(_pointer(prefix))})" if prefix else "json"
    objects = (
        f"select item, number from (select {inner} as item, row_number() over () as number from {relation}) "
        "where json_type(item) = 'OBJECT'"
    )
    twice = connection.execute(
        f"select number, keys from (select number, json_keys(item) as keys from ({objects})) "
        "where len(keys) <> len(list_distinct(keys)) order by number limit 1"
    )
    for number, keys in twice:
        name = ".".join((*prefix, next(k for k in keys if keys.count(k) > 1)))
        raise InputError(
            f"{shown}, row {number}: found the key {name!r} twice; expected each key once in an object"
        )
    kinds = connection.execute(
        "select key, bool_or(json_type(item, '/' || replace(replace(key, '~', '~0'), '/', '~1')) = 'OBJECT') "
        f"from (select item, unnest(json_keys(item)) as key from ({objects})) group by 1 order by 1"
    )
    if prefix and len(kinds) > _MAX_KEYS:
        return
    for key, nested in kinds:
        yield (*prefix, key)
        if nested and depth < _MAX_DEPTH:
            yield from _paths(connection, relation, shown, (*prefix, key), depth + 1)


def _unique(pairs: list[tuple[str, object]], shown: Path) -> dict[str, object]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{shown}: found the key {name!r} twice; expected each key once in an object")
    return dict(pairs)


def _pointer(path: Path_) -> str:
    """Return a JSON pointer, with special characters escaped."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)
