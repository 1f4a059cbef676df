"""Late functions are the functions that they name, in every block that declares some."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import clm_dagster
from clm_dagster.platform.late_functions import LateFunction, import_late, late_functions

ROOT = Path(clm_dagster.__file__).parent


def late_blocks() -> Iterator[tuple[str, ast.If]]:
    """Yield the module and the block of every `if TYPE_CHECKING: import ... else: late_functions(...)`."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.If) and "late_functions" in ast.dump(node):
                yield ".".join(path.relative_to(ROOT.parent).with_suffix("").parts), node


BLOCKS = list(late_blocks())


@pytest.mark.parametrize(("module", "block"), BLOCKS, ids=[module for module, _ in BLOCKS])
def test_late_functions_are_what_type_checkers_read(module: str, block: ast.If) -> None:
    read = {
        alias.asname or alias.name: (str(found.module), alias.name)
        for found in block.body
        if isinstance(found, ast.ImportFrom)
        for alias in found.names
    }
    late = {
        name: value for name, value in vars(import_module(module)).items() if isinstance(value, LateFunction)
    }
    assigned = {name.id for part in block.orelse for name in ast.walk(part) if isinstance(name, ast.Name)}
    assert set(late) == assigned - {"late_functions"}
    for name, function in late.items():
        assert (function.__module__, function.__name__) == read[name]
        # A version of code starts at the module that defines the function.
        assert (function.function.__module__, function.function.__qualname__) == read[name]


def test_a_late_function_imports_its_module_when_it_is_called() -> None:
    (missing,) = late_functions("clm_dagster.no_such_module", "compute")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        missing()
    (join,) = late_functions("posixpath", "join")
    assert join("a", "b") == "a/b"
    assert repr(join) == "<late function posixpath.join>"


def test_late_functions_can_be_imported_before_they_are_called() -> None:
    (missing,) = late_functions("clm_dagster.no_such_module", "compute")
    import_late([print, "clm_dagster.errors.UserError"])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_late([print, missing])
