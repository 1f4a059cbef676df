"""Exports of known shop systems, recognised by the names of their columns.

Belongs here: which columns identify an export, from the entries `exports` of adapters. Does not: the rest of adapters
(`adapter`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import check_keys
from clm_dagster.domains.ingest.formats.dialects import fold
from clm_dagster.platform.dbt_project import yaml_lines

_KEYS = {"title", "document", "columns", "file"}


@dataclass(frozen=True)
class Preset:
    """An export of a shop system.

    source: the adapter that reads it. document: the platform's own description of the export. columns: names that only
    this export has together. file: a usual name of the file. patterns: names of files that the adapter reads.
    is_included: whether the adapter has no events and only adds to others.
    """

    name: str
    source: str
    title: str
    document: str
    columns: tuple[str, ...]
    file: str
    patterns: tuple[str, ...]
    is_included: bool = False

    def matches(self, name: str) -> bool:
        """Whether the adapter reads a file of this name."""
        return any(fnmatchcase(name.casefold(), pattern.casefold()) for pattern in self.patterns)


# An export may lack columns that its user switched off.
_ENOUGH = 0.8


def read_presets(folders: Sequence[Path]) -> list[Preset]:
    """Return the exports that adapters know. folders: those that hold adapters. Raise InputError."""
    paths = sorted(path for folder in folders for path in folder.glob("*/adapter.yml"))
    return [preset for path in paths for preset in _presets(path)]


def _presets(path: Path) -> Iterator[Preset]:
    content = yaml_lines.load(path)
    patterns = tuple(_patterns(content))
    for name, entry in (content.get("exports") or {}).items():
        check_keys(entry, _KEYS)
        missing = _KEYS - set(entry)
        if missing:
            raise InputError(
                f"{content['exports'].where(name)}: the export {name} lacks {', '.join(sorted(missing))}"
            )
        own = yaml_lines.plain(entry)
        yield Preset(
            f"{path.parent.name}_{name}",
            path.parent.name,
            str(own["title"]),
            str(own["document"]),
            tuple(own["columns"]),
            str(own["file"]),
            patterns,
            "events" not in (content.get("tables") or {}),
        )


def _patterns(content: yaml_lines.LinedDict) -> Iterator[str]:
    """Yield the patterns of the files of all tables, feeds and prepared files."""
    for entry in (content.get("tables") or {}).values():
        yield from (entry or {}).get("files") or ["*"]
        for feed in ((entry or {}).get("feeds") or {}).values():
            yield from (feed or {}).get("files") or []
    for parts in (content.get("prepare") or {}).values():
        for part in parts.values():
            yield from part.get("files") or []


def recognise(columns: Sequence[str], presets: Sequence[Preset]) -> Preset | None:
    """Return the export that has these columns, None if it is none that is known.

    Of two that fit equally, the one that asks for more columns.
    """
    folded = {fold(name) for name in columns}
    shares = {
        preset: sum(fold(c) in folded for c in preset.columns) / len(preset.columns) for preset in presets
    }
    best = max(shares, key=lambda preset: (shares[preset], len(preset.columns)), default=None)
    return best if best and shares[best] >= _ENOUGH else None
