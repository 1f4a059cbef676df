"""Names of a package whose modules are imported when a name is first used.

Belongs here: the `__getattr__` of a package (PEP 562). Does not: which names are late; the package says so.

Settings, errors and plans of an evaluation are needed to describe models; fits need SciPy and scikit-learn, which take
seconds to import. `from package import name` works for both.
"""

from collections.abc import Callable, Mapping
from importlib import import_module


def late_names(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package. modules: module of the package -> its late names, separated by spaces."""
    module_of = {name: module for module, names in modules.items() for name in names.split()}

    def imported(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    return imported
