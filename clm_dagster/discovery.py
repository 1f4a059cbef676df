"""Discovery of domains: the folders of `clm_dagster.domains`.

Belongs here: searching that package. Does not: using the modules found (`settings`, `definitions`), or the name of any
domain.
"""

import importlib
import importlib.util
import pkgutil
from types import ModuleType

DOMAINS = "clm_dagster.domains"


def domain_modules(name: str) -> dict[str, ModuleType]:
    """Import the module `name` of every domain that has one. Return domain -> module, sorted by name.

    Folders appended to the package's `__path__` are searched as well.
    """
    package = importlib.import_module(DOMAINS)
    found: dict[str, ModuleType] = {}
    for domain in sorted(info.name for info in pkgutil.iter_modules(package.__path__) if info.ispkg):
        full = f"{DOMAINS}.{domain}.{name}"
        if importlib.util.find_spec(full) is not None:
            found[domain] = importlib.import_module(full)
    return found
