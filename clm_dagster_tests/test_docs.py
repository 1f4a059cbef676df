"""The documentation is correct: everything that it links to and names exists."""

import importlib.util
import re
import shlex
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath
from types import ModuleType

import click
import pytest
import sqlglot
import yaml
from sqlglot.optimizer.qualify import qualify

from clm_dagster.cli import cli
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.settings import PROJECT_DIR, known_settings

DOCS = PROJECT_DIR / "docs"
# Written by people, by path below the repository: these name paths and commands.
WRITTEN = {
    str(path.relative_to(PROJECT_DIR)): path.read_text()
    for path in (PROJECT_DIR / "README.md", PROJECT_DIR / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
# Tables that ingestion and the ledger make by themselves: no YAML describes them.
LEDGER = {
    "raw.rejects",
    "raw.deliveries",
    "raw.skips",
    "raw.files",
    "raw.no_customers",
    "raw.key_days",
    "raw.build_log",
    "published.snapshots",
    "raw.spread_keys",
    "raw.currencies",
    "raw.warehouse_format",
    "raw.builds",
    "raw.action_exports",
    "raw.segment_rules",
}


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", DOCS / "reference_pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    """The pages that are made when the site is built, by path below docs/."""
    pages: dict[str, str] = load_generator().generated_pages()
    return pages


def blocks(text: str, language: str) -> Iterator[str]:
    """The code blocks of a page in one language."""
    yield from (code for found, code in FENCE.findall(text) if found == language)


def anchors(text: str) -> set[str]:
    """What a link into a page may point at: its headings, as mkdocs names them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE):
        stated = re.search(r"\{ #(\w+) \}$", heading)
        plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
        words = re.sub(r"[^\w\s-]", "", plain).strip().lower()
        found.add(stated[1] if stated else re.sub(r"[-\s]+", "-", words))
    return found


# -------------------------------------------------------------------------------- links, pages


def test_every_link_and_image_has_a_target(generated: dict[str, str]) -> None:
    pages = WRITTEN | {
        f"docs/{path}": text for path, text in generated.items() if path.startswith("reference/")
    }
    broken = []
    for path, text in pages.items():
        for link in LINK.findall(FENCE.sub("", text)):
            if link.startswith(("http://", "https://")):
                continue
            file, _, anchor = link.partition("#")
            target = (
                (PROJECT_DIR / PurePosixPath(path).parent / file).resolve() if file else PROJECT_DIR / path
            )
            name = str(target.relative_to(PROJECT_DIR))
            if name not in pages and not target.exists():
                broken.append(f"{path}: {link}")
            elif anchor and anchor not in anchors(pages.get(name, "")):
                broken.append(f"{path}: {link}, no such heading")
    assert not broken


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page(generated: dict[str, str]) -> None:
    entries = re.findall(
        r"[\w/-]+\.md", str(yaml.safe_load((PROJECT_DIR / ".mkdocs.yml").read_text())["nav"])
    )
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert sorted(entries) == sorted(written | generated.keys())


def test_every_image_is_used() -> None:
    used = {PurePosixPath(link).name for text in WRITTEN.values() for link in LINK.findall(text)}
    assert {path.name for path in (DOCS / "images").iterdir()} <= used


# ----------------------------------------------------------------------------------- reference


def test_every_setting_is_in_the_reference_with_its_default_and_its_sentence(
    generated: dict[str, str],
) -> None:
    rows = generated["reference/settings.md"].splitlines()
    for setting in known_settings().values():
        (row,) = (line for line in rows if line.startswith(f"| `{setting.variable}` |"))
        default = str(setting.info.default or "").replace(f"{PROJECT_DIR}/", "")
        assert setting.description in row and default in row


def test_every_table_is_in_the_reference_with_every_column(
    project: Project, generated: dict[str, str]
) -> None:
    pages = "\n".join(text for path, text in generated.items() if path.startswith("reference/"))
    sections = {part.split(" ", 1)[0]: part for part in pages.split("\n## ")}
    for node in project.nodes.values():
        section = sections[node.relation]
        assert [column.name for column in node.columns if f"\n| `{column.name}` |" not in section] == []
        assert f"[`{node.relation}`](" in generated["reference/tables.md"]


def test_every_command_is_in_the_reference_with_every_option(generated: dict[str, str]) -> None:
    page = generated["reference/commands.md"]
    for name, command in cli.commands.items():
        assert f"\n## clm {name}\n" in page
        for parameter in command.params:
            assert all(option in page for option in parameter.opts)


# ------------------------------------------------------------------------ names on the pages


def test_every_mart_is_on_a_capability_page(project: Project) -> None:
    pages = "\n".join(text for path, text in WRITTEN.items() if path.startswith("docs/capabilities/"))
    read = [node for node in project.nodes.values() if node.schema in ("marts", "models")]
    read += [node for node in project.nodes.values() if node.schema == "core" and isinstance(node, Model)]
    assert [node.relation for node in read if node.relation not in pages] == []


def test_every_table_and_setting_on_a_page_exists(project: Project) -> None:
    relations = {node.relation for node in project.nodes.values()} | LEDGER
    variables = {setting.variable for setting in known_settings().values()}
    others = {"CLM_REFERENCE_DATA", "CLM_DBT", "CLM_FAKESNOW", "CLM_BQEMULATOR", "CLM_LOYALTY_POINTS"}
    unknown = []
    for path, text in WRITTEN.items():
        prose = FENCE.sub("", text)
        named = re.findall(r"`((?:raw|staging|core|marts|models)\.\w+)", prose)
        unknown += [f"{path}: {name}" for name in named if name not in relations]
        named = re.findall(r"CLM_[A-Z_]+[A-Z]", text)
        unknown += [f"{path}: {name}" for name in named if name not in variables | others]
    assert not unknown


def test_every_query_on_a_page_runs(project: Project) -> None:
    """Its tables and columns are those of the SQL project; adapters' templates and the ledger's tables aside."""
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for node in project.nodes.values():
        schema.setdefault(node.schema, {})[node.name] = node.types
    checked = 0
    for text in WRITTEN.values():
        queries = [*blocks(text, "sql"), *re.findall(r"'''(.+?)'''", text, re.DOTALL)]
        for query in queries:
            if "{{" in query or any(relation in query for relation in LEDGER):
                continue
            for statement in sqlglot.parse(query, dialect="duckdb"):
                assert statement is not None
                qualify(statement, schema=dict(schema), dialect="duckdb")
                checked += 1
    assert checked > 10


def test_every_path_on_a_page_exists() -> None:
    """`clm_dagster/...`, `dbt_like_sql/...` and their like; <placeholders> and my_shop aside."""
    root = r"`((?:clm_dagster|clm_dagster_tests|dbt_like_sql|docs)/[\w./-]+)`"
    missing = [
        f"{path}: {name}"
        for path, text in WRITTEN.items()
        for name in re.findall(root, text)
        if "my_shop" not in name and not (PROJECT_DIR / name).exists()
    ]
    assert not missing


def shell_lines() -> Iterator[tuple[str, list[str]]]:
    """Every line of every shell block, as words, with its page; a Python program within one aside."""
    for path, text in WRITTEN.items():
        for code in blocks(text, "sh"):
            for line in re.sub(r'-c "\n.*?"', "-c program", code, flags=re.DOTALL).splitlines():
                if words := shlex.split(line, comments=True):
                    yield path, words


def test_commands_on_pages_use_existing_options() -> None:
    seen = set()
    for path, words in shell_lines():
        if ".venv/bin/clm" not in words:
            continue
        name, *rest = words[words.index(".venv/bin/clm") + 1 :]
        command = cli.commands[name]
        while isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(name, rest)  # raises for an option that is not there
        seen.add((name, path))
    assert {"run", "demo", "dev", "plan", "simulate"} <= {name for name, _ in seen}


def test_make_targets_and_scripts_on_pages_exist() -> None:
    makefile = (PROJECT_DIR / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    for path, words in shell_lines():
        if "make" in words:
            assert words[words.index("make") + 1] in targets, f"{path}: {' '.join(words)}"
        for word in words:
            if word.startswith((".ci/", "clm_dagster_tests/")):
                assert (PROJECT_DIR / word).exists(), f"{path}: {word}"


def test_assets_launched_on_pages_exist(project: Project) -> None:
    relations = {node.relation for node in project.nodes.values()}
    launched = [words[words.index("--assets") + 1] for _, words in shell_lines() if "--assets" in words]
    assert launched
    for assets in launched:
        assert {asset.replace("/", ".") for asset in assets.split(",")} <= relations
