"""Imports of the process from which workers are forked, so that no worker imports them again.

Belongs here: imports. Does not: anything else.
"""

# ruff: noqa: E402, F401
import os

# Before NumPy and its like read it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from clm_dagster.discovery import domain_modules
from clm_dagster.platform.late_functions import import_late_modules

domain_modules("definitions")
import_late_modules()

# What a worker needs for its first run: Dagster's and MLflow's stores, charts, the format of models.
import matplotlib.backends.backend_agg
import matplotlib.figure
import mlflow.sklearn
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
import skops.io

import clm_dagster.definitions
import clm_dagster.platform.event_log
