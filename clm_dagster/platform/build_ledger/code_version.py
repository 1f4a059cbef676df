"""The version of Python code: a hash of everything that a function uses in this package.

Belongs here: following names from a function through the imports of the package, and hashing the definitions found.
Does not: versions of SQL (`dbt_project`), versions of stored partitions (`versions`).

The closure of a function contains every function, class and constant of the package that the function names, directly
or indirectly. It is read from the source code, so nothing is executed and nothing has to be listed. Comments,
docstrings, blank lines and line breaks do not count. Code that the function does not reach does not count either, even
in the same file. Names that are chosen at run time (`getattr(module, name)`) are not found. A module that is used as a
value counts completely.
"""

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clm_dagster.platform.build_ledger.version_cache import known_version
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError

PACKAGE = __name__.split(".", maxsplit=1)[0]
# A definition: its module and its name there.
Symbol = tuple[str, str]
# The start of a closure: a function or class, or its qualified name.
Root = Callable[..., Any] | str


@dataclass(frozen=True)
class _Module:
    """The top-level definitions of a source file, and its imports from the package."""

    name: str
    definitions: dict[str, list[ast.AST]] = field(default_factory=dict)
    imports: dict[str, Symbol] = field(default_factory=dict)  # local name -> module and name, "" for a module


def code_version(functions: Iterable[Root], *settings: object) -> str:
    """Return a hash of the closure of the functions, and of the repr of the settings that they receive.

    Raise ProjectError for a function that is defined inside another function: its captured variables would not count.
    """
    roots = sorted({_root(function) for function in functions})
    values = [repr(setting) for setting in settings]

    def compute() -> str:
        parts = [f"{module}.{name} {_dump(module, name)}" for module, name in sorted(_closure(roots))]
        return hashlib.sha256("\n".join(parts + values).encode()).hexdigest()[:16]

    if all(module.split(".")[0] == PACKAGE for module, _ in roots):
        return known_version(PACKAGE, repr((roots, values)), compute)
    return compute()


def closure(functions: Iterable[Root]) -> frozenset[Symbol]:
    """Return every definition of the package that the functions use, as (module, name)."""
    return _closure(_root(function) for function in functions)


def _closure(roots: Iterable[Symbol]) -> frozenset[Symbol]:
    found: set[Symbol] = set()
    stack = list(roots)
    while stack:
        symbol = stack.pop()
        if symbol not in found:
            found.add(symbol)
            stack.extend(_uses(*symbol))
    return frozenset(found)


def _root(function: Root) -> Symbol:
    if isinstance(function, str):
        module, _, last = function.rpartition(".")
        return module, last
    bare = inspect.unwrap(function)
    name = bare.__qualname__
    if "<" in name:
        raise ProjectError(
            f"{bare.__module__}.{name} is defined inside another function, so its version cannot include the "
            "variables that it captures. Move it to the top level of its module and pass these as settings."
        )
    return bare.__module__, name.split(".")[0]


@functools.cache
def _uses(module: str, name: str) -> frozenset[Symbol]:
    """Return the definitions of the package that one definition uses."""
    read = _read(module)
    return frozenset(
        symbol
        for node in read.definitions.get(name, [])
        for chain in _chains(node)
        for symbol in _resolve(read, chain)
    )


def _chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield every name that a tree evaluates, with its attributes: `a.b.c` is ("a", "b", "c")."""
    names: list[str] = []
    base = node
    while isinstance(base, ast.Attribute):
        names.append(base.attr)
        base = base.value
    if isinstance(base, ast.Name):
        yield (base.id, *reversed(names))
    for child in _evaluated(base):
        yield from _chains(child)


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the children of a tree except annotations, which do not execute the code that they name."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _resolve(read: _Module, chain: Sequence[str]) -> Iterator[Symbol]:
    """Yield the definitions to which a name with its attributes refers in a module."""
    name, *attributes = chain
    if name in read.definitions:
        yield read.name, name
    elif name in read.imports:
        module, imported = read.imports[name]
        yield from _resolve_imported(module, [imported, *attributes] if imported else attributes)


def _resolve_imported(module: str, names: Sequence[str]) -> Iterator[Symbol]:
    """Yield the definitions to which `a.b.c`, given as names, refers below a module."""
    if names and _file(f"{module}.{names[0]}"):
        yield from _resolve_imported(f"{module}.{names[0]}", names[1:])
    elif names:
        yield from _resolve(_read(module), names)
    else:
        yield from ((module, name) for name in _read(module).definitions)


@functools.cache
def _read(module: str) -> _Module:
    """Read a module's source."""
    path = _file(module)
    if path is None:
        raise ProjectError(f"the module {module} has no source file")
    tree = ast.parse(path.read_text(), str(path))
    read = _Module(module)
    for node in tree.body:
        for name in _defined(node):
            read.definitions.setdefault(name, []).append(node)
    for found in _statements(tree):
        if isinstance(found, ast.ImportFrom) and found.module and found.module.split(".")[0] == PACKAGE:
            for alias in found.names:
                read.imports[alias.asname or alias.name] = (found.module, alias.name)
        elif isinstance(found, ast.Import):
            for alias in found.names:
                if alias.name.split(".")[0] == PACKAGE and alias.asname:
                    read.imports[alias.asname] = (alias.name, "")
    return read


def _defined(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a top-level statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))
    elif isinstance(node, ast.If | ast.Try | ast.With):
        late = _imported_late(node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from (name for name in _defined(child) if name not in late)


def _imported_late(node: ast.stmt) -> set[str]:
    """Return the names that a block `if TYPE_CHECKING: import ... else: ...` imports.

    The other branch assigns stand-ins for them (`platform.late_functions`), which are no definitions: what counts is
    the function that the stand-in calls.
    """
    if not isinstance(node, ast.If) or not _is_type_checking(node.test):
        return set()
    return {
        alias.asname or alias.name
        for child in node.body
        if isinstance(child, ast.ImportFrom)
        for alias in child.names
    }


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield every statement below a node; expressions, which are most of a tree, are not looked into."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, name, ()) if not isinstance(node, ast.expr) else ():
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)


def _without_docstrings(node: ast.AST) -> ast.AST:
    """Remove docstrings and other string statements from a tree; they have no effect."""
    for child in (node, *_statements(node)):
        body = getattr(child, "body", None)
        if isinstance(body, list):
            kept = [statement for statement in body if not _is_text(statement)]
            child.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return node


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@functools.cache
def _dump(module: str, name: str) -> str:
    return " ".join(ast.dump(_without_docstrings(node)) for node in _read(module).definitions.get(name, []))


@functools.cache
def _file(module: str) -> Path | None:
    """Return the source file of a module of the package; None if there is none."""
    if module in sys.modules and getattr(sys.modules[module], "__file__", None):
        return Path(str(sys.modules[module].__file__))
    package, _, name = module.rpartition(".")
    folders = [Path(folder) for folder in getattr(sys.modules.get(package), "__path__", [])]
    for folder in folders:
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if path.exists():
                return path
    parent = _file(package) if package else None
    if parent is None or parent.name != "__init__.py":
        return None
    candidates = (parent.parent / f"{name}.py", parent.parent / name / "__init__.py")
    return next((path for path in candidates if path.exists()), None)
