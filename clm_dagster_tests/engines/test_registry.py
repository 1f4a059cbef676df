"""Engines are found by name; one that is not installed is a message."""

import pytest

from clm_dagster.engines.duckdb_engine import DuckDBEngine
from clm_dagster.engines.registry import EngineError, engine_named
from clm_dagster.settings import Settings


def test_duckdb_is_an_engine(settings: Settings) -> None:
    engine = engine_named("duckdb", settings)
    assert isinstance(engine, DuckDBEngine)
    assert engine.version.startswith("DuckDB ")


def test_an_unknown_engine_is_an_error_with_all_names(settings: Settings) -> None:
    with pytest.raises(EngineError, match="unknown engine 'oracle'; the engines are duckdb, ducklake, spark"):
        engine_named("oracle", settings)


def test_an_engine_that_is_not_installed_is_an_error_with_its_extra(settings: Settings) -> None:
    engines = {"later": "clm_dagster.engines.no_such_module:Engine"}
    with pytest.raises(EngineError, match=r"pip install 'clm-dagster\[later\]'"):
        engine_named("later", settings, engines)
