"""The generated pages of the site: settings, tables, commands, and the Markdown files at the repository's top.

Belongs here: Markdown made of the settings classes, the SQL project's YAML and the command line's own help. Does not:
any text that a person writes (the other pages).

mkdocs calls `on_files` as a hook, see `.mkdocs.yml`. The pages are made in memory: no generated file can be stale.
"""

import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "true")

import click

from clm_dagster.cli import cli
from clm_dagster.platform.dbt_project.project import Model, Node, Project, Seed, load_project
from clm_dagster.platform.dbt_project.properties import Column, DataTest
from clm_dagster.settings import known_settings
from clm_dagster.settings.composition import build_settings
from clm_dagster.settings.fields import Setting

if TYPE_CHECKING:  # the tests make the pages without mkdocs
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Files at the repository's top that are pages of the site too.
TOP_FILES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
LAYERS = {
    "raw": "The contract: the output of an adapter. Every row is a version with two clocks. Only staging reads it.",
    "seeds": "Rules that people edit, CSV files in `dbt_like_sql/seeds`. They are loaded into the schema `staging`.",
    "staging": "Current facts, typed and named: one view per raw table, order lines, and products.",
    "core": "Daily roll-ups, the state of every customer at a snapshot, labels, and series to forecast.",
    "models": "One row for each training of a model, and the metrics of all its candidates.",
    "marts": "Published tables, including scores.",
}
_CALENDARS = {"daily": "by day", "snapshot": "by weekly snapshot", None: "as a whole"}


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the generated pages to the site."""
    from mkdocs.structure.files import File

    for path, text in generated_pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def generated_pages() -> dict[str, str]:
    """Return every generated page: its path below `docs/` -> its Markdown."""
    project = sql_project()
    layers = {layer: layer_page(layer, nodes, project) for layer, nodes in nodes_by_layer(project).items()}
    return {
        "reference/settings.md": settings_page(),
        "reference/commands.md": commands_page(),
        "reference/tables.md": tables_page(project),
        **{f"reference/{layer}.md": text for layer, text in layers.items()},
        **{page: (ROOT / file).read_text().replace("](docs/", "](") for page, file in TOP_FILES.items()},
    }


def sql_project() -> Project:
    """Return the SQL project as it is with default settings."""
    return load_project(ROOT / "dbt_like_sql", **build_settings(known_settings(), {}, {}).sql_variables())


# ----------------------------------------------------------------------------------- settings


def settings_page() -> str:
    """Return the page of all settings, in the groups in which the code keeps them."""
    groups: dict[type, list[Setting]] = {}
    for setting in known_settings().values():
        groups.setdefault(_declared_by(setting), []).append(setting)
    lines = [
        "# Settings",
        "",
        "Each setting is an environment variable. A value comes from the first of these origins that has one: the "
        "environment, the "
        "record of the last `clm run` in the data folder, the `settings` of the source's `adapter.yml`, the default. "
        "`clm settings` prints every current value and its origin.",
    ]
    for group, settings in groups.items():
        lines += [
            "",
            f"## {_first_line(group)}",
            "",
            *_table(("setting", "default", "description"), map(_row, settings)),
        ]
    return "\n".join([*lines, ""])


def _declared_by(setting: Setting) -> type:
    """Return the class whose own text declares the field."""
    return next(cls for cls in setting.group.__mro__ if setting.field in inspect.get_annotations(cls))


def _row(setting: Setting) -> tuple[str, str, str]:
    default = str("" if setting.info.default is None else setting.info.default).replace(f"{ROOT}/", "")
    return f"`{setting.variable}`", f"`{default}`" if default else "empty", _text(setting.description)


# ------------------------------------------------------------------------------------- tables


def nodes_by_layer(project: Project) -> dict[str, list[Node]]:
    """Return every table of the SQL project in its layer, in the order of names."""
    layers: dict[str, list[Node]] = {layer: [] for layer in LAYERS}
    for node in sorted(project.nodes.values(), key=lambda node: node.name):
        layers["seeds" if isinstance(node, Seed) else node.schema].append(node)
    return layers


def tables_page(project: Project) -> str:
    """Return the page that lists every table with the first sentence of its description."""
    lines = ["# Tables", "", "Every table of the warehouse that the SQL project describes, by layer."]
    for layer, nodes in nodes_by_layer(project).items():
        rows = (
            (
                f"[`{node.relation}`]({layer}.md#{node.name})",
                _calendar(node, project),
                _text(_sentence(node.description)),
            )
            for node in nodes
        )
        lines += ["", f"## {layer}", "", LAYERS[layer], "", *_table(("table", "built", "contents"), rows)]
    return "\n".join([*lines, ""])


def layer_page(layer: str, nodes: Sequence[Node], project: Project) -> str:
    """Return the page of one layer: each table with its columns."""
    lines = [f"# Tables: {layer}", "", LAYERS[layer]]
    for node in nodes:
        lines += ["", *_table_section(node, project)]
    return "\n".join([*lines, ""])


def _table_section(node: Node, project: Project) -> list[str]:
    reads = sorted(project.nodes[name].relation for name in node.refs) if isinstance(node, Model) else []
    facts = {
        "Made": _calendar(node, project),
        "Group": str(node.dagster.get("group", "ingest")),
        "Owners": ", ".join(node.dagster.get("owners", ())),
        "Reads": ", ".join(f"`{relation}`" for relation in reads),
        "Used for": "; ".join(exposure.label for exposure in project.exposures_of(_key(node, project))),
        "Tests": ", ".join(_test(test) for test in node.tests),
    }
    return [
        f"## {node.relation} {{ #{node.name} }}",
        "",
        _text(node.description),
        "",
        *(f"- {name}: {value}" for name, value in facts.items() if value),
        "",
        *_table(("column", "type", "description", "tests"), map(_column, node.columns)),
    ]


def _column(column: Column) -> tuple[str, str, str, str]:
    tests = [_test(test, of_column=True) for test in column.tests]
    marks = [f"personal data: {column.meta['pii']}"] if "pii" in column.meta else []
    return (
        f"`{column.name}`",
        f"`{column.data_type or 'VARCHAR'}`",
        _text(column.description),
        ", ".join(tests + marks),
    )


def _test(test: DataTest, of_column: bool = False) -> str:
    words = {
        "accepted_values": lambda: "one of " + ", ".join(f"`{value}`" for value in test.arguments["values"]),
        "relationships": lambda: f"found in `{test.related}`",
    }
    text = words[test.kind]() if test.kind in words else test.kind.replace("_", " ")
    return text if of_column else f"{text} `{test.column}`"


def _calendar(node: Node, project: Project) -> str:
    if isinstance(node, Seed):
        return "from a CSV file"
    if isinstance(node, Model):
        return "view" if node.materialized == "view" else _CALENDARS[node.window]
    if project.is_python_table(_key(node, project)):
        return "by weekly snapshot, in Python"
    return "by day" if node.event_time else "with the days that touch it"


def _key(node: Node, project: Project) -> str:
    return next(name for name, other in project.nodes.items() if other is node)


# ----------------------------------------------------------------------------------- commands


def commands_page() -> str:
    """Return the page of every command with its own help."""
    lines = ["# Commands", "", "What `clm COMMAND --help` says."]
    for name, command in _commands("clm", cli):
        with click.Context(command, info_name=name, terminal_width=100, max_content_width=100) as context:
            lines += ["", f"## {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join([*lines, ""])


def _commands(name: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Return the commands of a group, and those of the groups in it."""
    for own, command in sorted(group.commands.items()):
        yield f"{name} {own}", command
        if isinstance(command, click.Group):
            yield from _commands(f"{name} {own}", command)


# --------------------------------------------------------------------------------------- words


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """Return a text as Markdown shows it: on one line, with nothing in it that Markdown or HTML would read."""
    escaped = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    for sign in "|*[":
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped


def _sentence(text: str) -> str:
    """Return the first sentence of a description."""
    first, stop, _ = " ".join(text.split()).partition(". ")
    return first + "." if stop else first


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or cls.__name__).splitlines()[0].rstrip(".")
