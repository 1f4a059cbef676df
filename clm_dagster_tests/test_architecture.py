"""Imports run one way: definitions -> domains -> {platform, statistics}. Checked on the import statements."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import clm_dagster

ROOT = Path(clm_dagster.__file__).parent
# Modules at the top level of the package: those that assemble domains, and those that every layer may import.
ABOVE = {
    "cli",
    "commands",
    "component",
    "definitions",
    "defs",
    "dev_server",
    "plan_view",
    "runner",
    "settings_view",
    "shop_alerts",
    "shop_pull",
    "shop_run",
    "shop_status",
    "status_view",
    "upkeep",
    "verify_view",
}
GROUND = {"command_line", "discovery", "errors", "settings", "storage", "terminal"}
LAYERS = {"domains", "engines", "platform", "simulate", "statistics"}
# The allowed imports, by the first name below the package.
ALLOWED = {
    "errors": set[str](),
    "command_line": {"settings"},
    "discovery": set[str](),
    "terminal": {"errors", "settings", "storage"},
    "storage": {"errors"},
    "settings": {"discovery", "errors", "storage"},
    "statistics": {"errors"},
    "platform": {"discovery", "errors", "settings", "statistics", "storage"},
    "domains": {"command_line", "errors", "settings", "platform", "statistics", "storage", "terminal"},
    "engines": {"errors", "settings", "platform", "storage"},
    "simulate": {"errors", "settings", "platform", "statistics"},
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported(name: str, at_load: bool = False) -> set[str]:
    """The project's own modules that a module imports; `at_load` those it needs to be loaded at all."""
    tree = ast.parse(MODULES[name].read_text())
    found: set[str] = set()
    for node in _statements(tree) if at_load else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} line {node.lineno}: an import that names no package"
            module = str(node.module)
            found |= {f"{module}.{a.name}" if f"{module}.{a.name}" in MODULES else module for a in node.names}
    return {target for target in found if target.split(".")[0] == "clm_dagster"}


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """What is executed on loading: not the bodies of functions, nor what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _statements(node)


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def domain(module: str) -> str | None:
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[1] == "domains" else None


def test_the_top_level_has_only_the_known_modules() -> None:
    found = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert found - {"__init__"} == ABOVE | GROUND | LAYERS


def test_imports_run_one_way() -> None:
    wrong = [
        f"{name} imports {target}"
        for name in MODULES
        if layer(name) in ALLOWED
        for target in sorted(imported(name))
        if layer(target) not in ALLOWED[layer(name)] | {layer(name)}
    ]
    assert wrong == []


def test_no_domain_imports_another() -> None:
    wrong = [
        f"{name} imports {target}"
        for name in MODULES
        if domain(name)
        for target in sorted(imported(name))
        if domain(target) not in (None, domain(name))
    ]
    assert wrong == []


def test_assembling_modules_name_no_domain() -> None:
    assert {target for target in imported("clm_dagster.definitions") if layer(target) == "domains"} == set()


def test_statistics_import_neither_dagster_nor_duckdb_nor_mlflow() -> None:
    wrong = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())) if layer(name) == "statistics" else ():
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found = {n.split(".")[0] for n in names} & {"dagster", "duckdb", "mlflow"}
            wrong += [f"{name} imports {n}" for n in sorted(found)]
    assert wrong == []


def test_there_are_no_import_cycles() -> None:
    # A package's own file is loaded before its modules, and may gather them.
    graph = {name: imported(name, at_load=True) & set(MODULES) for name in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_definitions_stay_thin() -> None:
    assert len((ROOT / "definitions.py").read_text().splitlines()) < 60


def test_files_have_at_most_400_lines() -> None:
    long = {name: n for name, p in MODULES.items() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


# A row of a Markdown table, a rule under its header, an image or a link, written by hand.
MARKDOWN_BY_HAND = re.compile(
    r"\|\s*:?-{3,}|^\s*\|.*\|\s*$|\s\|\s.*\s\|\s.*\||!?\[[^\]]*\]\((?:\{\}|[a-z]+:)", re.MULTILINE
)
# The only modules that write Markdown; they escape what comes from a shop.
MARKDOWN = {"clm_dagster.platform.markdown", "clm_dagster.platform.charts"}


def written_texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts of a module with their lines, docstrings left out; what an f-string fills in is `{}`."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.lineno, node.value


def markdown_by_hand(source: str) -> list[tuple[int, str]]:
    return [(line, t) for line, t in written_texts(ast.parse(source)) if MARKDOWN_BY_HAND.search(t)]


def test_markdown_tables_and_pictures_are_written_in_one_place() -> None:
    wrong = [
        f"{name} line {line}: {text!r}; use clm_dagster.platform.markdown"
        for name, path in MODULES.items()
        if name not in MARKDOWN
        for line, text in markdown_by_hand(path.read_text())
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "source",
    [
        'lines = ["| name | customers |", "|---|---|"]',
        'row = f"| {name} | {count} |"',
        'row = f"{name} | {count} | {share}|"',
        'picture = f"![{name}](data:image/png;base64,{content})"',
        'link = f"[{name}](https://shop.example/{name})"',
    ],
)
def test_markdown_by_hand_is_found(source: str) -> None:
    assert markdown_by_hand(source)


def test_only_the_markdown_module_marks_text_as_markdown_in_a_computed_way() -> None:
    """`Markdown(text)` shows a text as Markdown: outside of its module only for texts that are in the code."""
    wrong = [
        f"{name} line {node.lineno}"
        for name, path in MODULES.items()
        if name not in MARKDOWN
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Markdown"
        if not all(isinstance(argument, ast.Constant) for argument in node.args)
    ]
    assert wrong == []
