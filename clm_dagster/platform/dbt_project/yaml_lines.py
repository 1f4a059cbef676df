"""YAML with the line number of every key and item, so that errors can name file and line.

Belongs here: reading YAML, and generic checks of its structure. Does not: the format of a particular file.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clm_dagster.errors import UserError

# libyaml's parser is seven times faster; not every build of PyYAML has it.
_PARSER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class ProjectError(UserError, ValueError):
    """An error in the SQL project. The message names the file, the line and what was expected."""


@dataclass(frozen=True)
class Where:
    """A line in a file."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class LinedDict(dict[str, Any]):
    """A mapping that knows the line of each of its keys."""

    path: Path
    lines: dict[Any, int]

    def where(self, key: Any) -> Where:
        """Return the place of a key."""
        return Where(self.path, self.lines.get(key, 0))


class LinedList(list[Any]):
    """A sequence that knows the line of each of its items."""

    path: Path
    lines: list[int]

    def where(self, index: int) -> Where:
        """Return the place of an item."""
        return Where(self.path, self.lines[index])


def load(path: Path) -> LinedDict:
    """Read a YAML file with a mapping at the top level. Raise ProjectError."""
    if not path.exists():
        raise ProjectError(f"{path} does not exist")
    try:
        node = yaml.compose(path.read_text(), Loader=_PARSER)
    except yaml.YAMLError as error:
        raise ProjectError(f"{path} is not valid YAML: {error}") from error
    loader = yaml.SafeLoader("")
    content = LinedDict() if node is None else _convert(node, path, loader)
    if not isinstance(content, LinedDict):
        raise ProjectError(f"{path}:1: expected a mapping at the top level")
    content.path = path
    if node is None:
        content.lines = {}
    return content


def mapping(value: Any, where: Where, known: Collection[str], required: Collection[str] = ()) -> LinedDict:
    """Return the value if it is a mapping with known keys. Raise ProjectError, with file and line, if not."""
    if not isinstance(value, LinedDict):
        raise ProjectError(f"{where}: expected a mapping with {', '.join(sorted(known))}, found {value!r}")
    for key in value:
        if key not in known:
            raise ProjectError(
                f"{value.where(key)}: unknown key {key!r}; known keys: {', '.join(sorted(known))}"
            )
    for key in required:
        if key not in value:
            raise ProjectError(f"{where}: {key!r} is missing")
    return value


def sequence(content: LinedDict, key: str) -> list[tuple[Any, Where]]:
    """Return the items of the list at a key, each with its place; empty if the key is missing or null."""
    value = content.get(key)
    if value is None:
        return []
    if not isinstance(value, LinedList):
        raise ProjectError(f"{content.where(key)}: expected a list, found {value!r}")
    return [(item, value.where(index)) for index, item in enumerate(value)]


def plain(value: Any) -> Any:
    """Return the content as plain dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _convert(node: yaml.Node, path: Path, loader: yaml.SafeLoader) -> Any:
    if isinstance(node, yaml.MappingNode):
        pairs = LinedDict()
        pairs.path, pairs.lines = path, {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            pairs[key] = _convert(value_node, path, loader)
            pairs.lines[key] = key_node.start_mark.line + 1
        return pairs
    if isinstance(node, yaml.SequenceNode):
        items = LinedList(_convert(item, path, loader) for item in node.value)
        items.path = path
        items.lines = [item.start_mark.line + 1 for item in node.value]
        return items
    return loader.construct_object(node, deep=True)
