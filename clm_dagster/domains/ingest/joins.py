"""What the SQL of a feed joins: the adapter's seeds, and other files of a delivery.

Belongs here: the entry `lookups` of adapter.yml, the relations of `seed('...')` and `delivery('...')`, checking their
names, and explaining joins that multiply or lose rows. Does not: storing the files (`lookups`), feeds (`feeds`).
"""

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import Feed, check_keys, is_name, text_of
from clm_dagster.domains.ingest.prepared import KEYS, Part
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project import yaml_lines

SEED, DELIVERY = "seed", "delivery"
SEEDS_FOLDER = "seeds"
_REFERENCE = re.compile(r"""\b(seed|delivery)\(\s*['"]([^'"]*)['"]\s*\)""")
_JOIN = re.compile(
    r"""\{\{\s*(seed|delivery)\(\s*['"](\w+)['"]\s*\)\s*\}\}\s*
    (?:as\s+)?(?:(?!using\b|on\b)(\w+))?\s*
    (?:using\s*\(([^)]*)\)|on\b(.*?)(?=\b(?:join|left|inner|where|group|qualify|order|union)\b|\Z))""",
    re.I | re.S | re.X,
)

_COLUMN = r"""((?:\w+\.)?(?:\w+|"[^"]+"))"""
_EQUAL = re.compile(rf"{_COLUMN}\s*=\s*{_COLUMN}")


@dataclass(frozen=True)
class Join:
    """One join in the SQL of a feed.

    keys: columns of the joined rows. landed: the columns of landed rows that equal them; empty if that is not plain.
    """

    kind: str
    name: str
    keys: tuple[str, ...]
    landed: tuple[str, ...] = ()


def read_lookups(folder: Path, entry: yaml_lines.LinedDict | None) -> tuple[Part, ...]:
    """Return the files that feeds may join, from the entry `lookups` of adapter.yml. Raise InputError."""
    found = []
    for name, given in (entry or {}).items():
        where = entry.where(name) if entry else ""
        if not isinstance(name, str) or not is_name(name):
            raise InputError(f"{where}: {name!r} is not a name; expected lower-case letters and underscores")
        if not isinstance(given, dict) or not given.get("files") or not given.get("columns"):
            raise InputError(f"{where}: the lookup {name} requires `files` and `columns`")
        check_keys(given, KEYS)
        plain = yaml_lines.plain(given)
        columns = tuple(plain["columns"])
        required = tuple(plain.get("required") or columns)
        found.append(Part(name, tuple(plain["files"]), columns, required, bool(plain.get("optional"))))
    return tuple(found)


def view_of(lookup: str) -> str:
    """Return the relation of `delivery('<lookup>')`."""
    return f"lookup_{lookup}"


def seed_path(folder: Path, shared: Path, name: str) -> Path:
    """Return the file of a seed: in the adapter's folder `seeds`, in its folder, or in that of the project.

    Raise InputError with the nearest name.
    """
    for path in _seed_places(folder, shared, name):
        if path.exists():
            return path
    names = {path.stem for place in _seed_places(folder, shared, "*") for path in place.parent.glob("*.csv")}
    raise InputError(
        f"{folder}: the adapter reads the seed {name!r}, but {folder / SEEDS_FOLDER / name}.csv does not exist."
        f"{nearest(name, names)}"
    )


def _seed_places(folder: Path, shared: Path, name: str) -> tuple[Path, ...]:
    return tuple(place / f"{name}.csv" for place in (folder / SEEDS_FOLDER, folder, shared))


def read_seed(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the column names and the rows of a seed. Raise InputError with file and line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        rows = []
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{path}:{reader.line_num}: found {len(row)} values; expected {len(header)}, one for each of "
                    f"{', '.join(header)}"
                )
            rows.append(row)
    if not rows:
        raise InputError(f"{path}: expected a header and at least one row")
    folded = [name.casefold() for name in header]
    if len(set(folded)) < len(folded) or not all(folded):
        raise InputError(f"{path}:1: expected a different name for each column; found {', '.join(header)}")
    return header, rows


def seed_relation(path: Path) -> str:
    """Return SQL for the rows of a seed, all as text; an empty value is null.

    The rows are part of the SQL, so a changed seed is a changed feed, whose rows are loaded again.
    """
    header, rows = read_seed(path)
    listed = ", ".join(
        "(" + ", ".join(quoting.text(value) if value else "cast(null as varchar)" for value in row) + ")"
        for row in rows
    )
    names = ", ".join(quoting.name(name) for name in header)
    return f"(select * from (values {listed}) as seed_rows({names}))"


def nearest(name: str, known: Collection[str]) -> str:
    """Return a sentence with the known name that is most alike, or with all known names."""
    close = get_close_matches(name, known, 1, 0.5)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Known names: {', '.join(sorted(known)) or 'none'}."


def check_references(feed: Feed, lookups: Mapping[str, Part], shared: Path) -> None:
    """Raise InputError, with file and line, if the SQL of a feed reads a seed or a file that the adapter lacks.

    shared: the folder of the project's seeds.
    """
    for path, text in text_of(feed.path).items():
        for found in _REFERENCE.finditer(text):
            kind, name = found.groups()
            line = text.count("\n", 0, found.start()) + 1
            if kind == SEED:
                try:
                    seed_path(feed.path.parent, shared, name)
                except InputError as error:
                    raise InputError(f"{path}:{line}: {error}") from error
            elif name not in lookups:
                raise InputError(
                    f"{path}:{line}: delivery({name!r}), but `lookups` in {feed.path.parent / 'adapter.yml'} has no "
                    f"file of this name.{nearest(name, lookups)}"
                )


def joins_of(feed: Feed) -> Iterator[Join]:
    """Yield the joins of seeds and files that can be read from the SQL of a feed."""
    found = [match for text in text_of(feed.path).values() for match in _JOIN.findall(text)]
    aliases = {alias or name for _, name, alias, *_ in found}
    for kind, name, alias, using, condition in found:
        if using:
            keys = tuple(_plain(key) for key in using.split(","))
            yield Join(kind, name, keys, keys)
            continue
        sides = _EQUAL.findall(condition)
        equal: dict[str, str] = {}
        for one, other in (*sides, *((right, left) for left, right in sides)):
            (owner, key), (others_owner, value) = _parts(one), _parts(other)
            if owner == (alias or name):
                equal[key] = "" if others_owner in aliases else value
        landed = tuple(equal.values()) if all(equal.values()) else ()
        yield Join(kind, name, tuple(equal), landed)


def _parts(column: str) -> tuple[str, str]:
    """Return the alias, empty without one, and the name of a column."""
    owner, _, name = column.rpartition(".")
    return owner, _plain(name)


def _plain(name: str) -> str:
    return name.strip().strip('"')
