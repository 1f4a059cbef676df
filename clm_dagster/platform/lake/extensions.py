"""The extensions of DuckDB that a lake needs, loaded from installed packages.

Belongs here: finding and loading them. Does not: using them (`catalogue`).

Nothing is downloaded: each extension is a file of a Python package, for exactly one version of DuckDB.
"""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import duckdb

from clm_dagster.errors import UserError
from clm_dagster.platform import quoting

# The versions of DuckDB for which the packages exist and this project is tested.
SUPPORTED = "1.5."
_SUFFIX = ".duckdb_extension"


class LakeUnavailableError(UserError, RuntimeError):
    """This environment cannot use a lake. The message says what is missing and how to install it."""


def is_supported() -> bool:
    """Whether the installed version of DuckDB can have a lake."""
    return duckdb.__version__.startswith(SUPPORTED)


def extension_file(name: str) -> Path:
    """Return the file of an extension for this version of DuckDB. Raise LakeUnavailableError."""
    package = f"duckdb_extension_{name}"
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        raise LakeUnavailableError(
            f"CLM_CATALOG is set, but the package {package} is not installed. Install the extra `team`, with the "
            f"versions of one release of DuckDB: pip install 'clm-dagster[team]' 'duckdb=={duckdb.__version__}' "
            f"'{package}=={duckdb.__version__}'"
        ) from None
    version = f"v{duckdb.__version__}"
    found = [file for file in listed if file.name == f"{name}{_SUFFIX}"]
    fitting = [file for file in found if version in file.parts]
    if not fitting:
        known = ", ".join(sorted({file.parts[-2] for file in found})) or "none"
        raise LakeUnavailableError(
            f"the package {package} is for DuckDB {known}, but DuckDB {version} is installed; install the same "
            f"version of both: pip install '{package}=={duckdb.__version__}'"
        )
    return Path(str(fitting[0].locate()))


def load_extensions(raw: duckdb.DuckDBPyConnection, names: tuple[str, ...]) -> None:
    """Load extensions into a connection, from files only. Raise LakeUnavailableError."""
    if not is_supported():
        raise LakeUnavailableError(
            f"CLM_CATALOG is set, but DuckDB {duckdb.__version__} is installed; the lake needs DuckDB {SUPPORTED}x "
            "with the packages of the extra `team`. Install that extra in an environment of its own, or unset "
            "CLM_CATALOG to use one DuckDB file"
        )
    raw.execute("set autoinstall_known_extensions = false")
    raw.execute("set autoload_known_extensions = false")
    for name in names:
        raw.execute(f"load {quoting.text(extension_file(name))}")
