"""Functions that definitions name without importing their modules.

Belongs here: a stand-in for a function of the package, which imports the function at its first call. Does not: which
functions are late; a domain says so where it lists its tables.

Definitions are loaded by every command and by every process of Dagster, and call none of the functions that compute
tables. These need SciPy, scikit-learn and statsmodels, which take seconds to import. Type checkers read the import:

    if TYPE_CHECKING:
        from clm_dagster.domains.churn.score import read_scoring, score
    else:
        read_scoring, score = late_functions("clm_dagster.domains.churn.score", "read_scoring", "score")

`build_ledger.code_version` reads it too, so versions of code include what late functions use.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from importlib import import_module
from typing import Any

# The modules of all late functions so far.
_named: set[str] = set()


class LateFunction:
    """A stand-in for a function at the top level of a module. It has its name, and imports it at the first call."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__ = module
        self.__name__ = self.__qualname__ = name

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The function itself. Raise ImportError or AttributeError if it does not exist."""
        function: Callable[..., Any] = getattr(import_module(self.__module__), self.__name__)
        return function

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Call the function."""
        return self.function(*args, **keywords)

    def __repr__(self) -> str:
        return f"<late function {self.__module__}.{self.__name__}>"


def late_functions(module: str, *names: str) -> tuple[LateFunction, ...]:
    """Return a stand-in for each function of a module, which must define them itself, in the order of the names."""
    _named.add(module)
    return tuple(LateFunction(module, name) for name in names)


def import_late(functions: Iterable[object]) -> None:
    """Import the late functions among these, before a caller takes what others wait for."""
    for function in functions:
        if isinstance(function, LateFunction):
            import_module(function.__module__)


def import_late_modules() -> None:
    """Import the modules of all late functions, for a process whose forks call them."""
    for module in sorted(_named):
        import_module(module)
