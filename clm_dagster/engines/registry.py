"""The engines by the name that the option `--engine` has.

Belongs here: names, and importing an engine late, because some need additional packages. Does not: any engine.
"""

from collections.abc import Mapping
from importlib import import_module

from clm_dagster.engines.engine import Engine
from clm_dagster.errors import UserError
from clm_dagster.settings import Settings


class EngineError(UserError, RuntimeError):
    """An engine that is unknown or not installed. The message says which there are, or what to install."""


# Each class takes the settings of the shop.
ENGINES: Mapping[str, str] = {
    "duckdb": "clm_dagster.engines.duckdb_engine:DuckDBEngine",
    "ducklake": "clm_dagster.engines.ducklake:DuckLakeEngine",
    "spark": "clm_dagster.engines.spark.engine:SparkEngine",
}


def engine_named(name: str, settings: Settings, engines: Mapping[str, str] = ENGINES) -> Engine:
    """Return an engine for the settings of a shop. Raise EngineError if it is unknown or not installed."""
    if name not in engines:
        raise EngineError(f"unknown engine {name!r}; the engines are {', '.join(engines)}")
    module, _, kind = engines[name].partition(":")
    try:
        found = getattr(import_module(module), kind)
    except ImportError as error:
        raise EngineError(
            f"the engine {name} is not installed: {error}. Install it with `pip install 'clm-dagster[{name}]'`"
        ) from error
    engine: Engine = found(settings)
    return engine
