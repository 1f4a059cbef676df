"""Imports of the process from which workers are forked, so that no worker imports them again.

Belongs here: imports. Does not: anything else.
"""

import os

# Before NumPy and its like read it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from clm_dagster.discovery import domain_modules
from clm_dagster.platform.late_functions import import_late_modules

domain_modules("definitions")
import_late_modules()

import mlflow.sklearn  # noqa: E402, F401
import skops.io  # noqa: E402, F401 - a second, when a worker first stores or loads a model
