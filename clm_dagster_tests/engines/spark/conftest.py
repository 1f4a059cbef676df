"""Spark for the tests that need it: it takes half a minute to start, so it starts once."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clm_dagster.engines.spark.cluster import spark_session
from clm_dagster.engines.spark.engine import SparkSQLSession

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """Spark on two cores of this machine."""
    pytest.importorskip("pyspark")
    with spark_session("local[2]", tmp_path_factory.mktemp("spark")) as session:
        yield session


def emptied(spark: "SparkSession", folder: Path) -> SparkSQLSession:
    """Return an empty database of Spark."""
    for (name,) in spark.sql("show databases").collect():
        if name != "default":
            spark.sql(f"drop database `{name}` cascade")
    return SparkSQLSession(spark, folder)


@pytest.fixture
def database(spark: "SparkSession", tmp_path: Path) -> SparkSQLSession:
    """An empty database of Spark."""
    return emptied(spark, tmp_path / "spark")
