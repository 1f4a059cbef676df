"""The environment of a measurement.

Belongs here: the machine and the versions. Does not: figures.
"""

import os
import platform
from importlib.metadata import version
from typing import Any


def describe() -> dict[str, Any]:
    """Processors, load and versions: figures of two machines are compared as ratios only."""
    return {
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: version(name) for name in ("dagster", "duckdb", "pandas", "numpy")},
    }
