"""A Spark session: settings of Spark that decide what a query gives, and where it runs.

Belongs here: starting and stopping Spark. Does not: queries (`dialect`), relations (`engine`).

Where it runs is configuration: `CLM_SPARK_MASTER`, and for everything else Spark's own `spark-defaults.conf` in the
folder `SPARK_CONF_DIR`. Spark is started here and nowhere else.
"""

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clm_dagster.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXTRA = "pip install 'clm-dagster[spark]'"

# These decide the rows of a query, so nobody can set them.
FIXED: Mapping[str, str] = {
    # An overflow, a bad cast and a division of integers by zero are errors, as in DuckDB, instead of null.
    "spark.sql.ansi.enabled": "true",
    # Instants have no zone. A function that knows only instants with a zone then gives the same wall-clock time.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Names are equal whatever their case, as in DuckDB.
    "spark.sql.caseSensitive": "false",
    # A product of decimals that needs more than 38 digits loses digits of its fraction, and is never null.
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    # This rule of Spark 4.3 drops an alias that the plan of marts.churn_scorecard needs; Spark then refuses the plan.
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.RemoveRedundantAliases",
}

# A computer of one's own: no UI, no port that others reach.
_LOCAL: Mapping[str, str] = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "3g",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.ui.showConsoleProgress": "false",
}


class SparkError(UserError, RuntimeError):
    """Spark cannot start. The message says what is missing and how to install it."""


@contextmanager
def spark_session(master: str, folder: Path, name: str = "clm") -> Iterator["SparkSession"]:
    """Start Spark for the duration of the block. folder: for files of Spark itself.

    Raise SparkError without PySpark or Java, or if this process runs Spark already.
    """
    spark_class = _spark_session_class()
    if spark_class.getActiveSession() is not None:
        raise SparkError("this process runs Spark already, with settings of its own; use another process")
    options = {
        "spark.log.level": "ERROR",
        **(_LOCAL if master.startswith("local") else {}),
        "spark.sql.warehouse.dir": str((folder / "spark").resolve()),
        **FIXED,
    }
    builder = spark_class.builder.master(master).appName(name)
    for option, value in options.items():
        builder = builder.config(option, value)
    if master.startswith("local"):
        # Workers that score have the packages of this environment. Spark reads this variable when it starts.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # Errors are raised. As log lines they would appear a second time, with the whole plan.
    logging.getLogger("SQLQueryContextLogger").disabled = True
    try:
        session = builder.getOrCreate()
    except Exception as error:
        # The library raises the exceptions of Java, of Py4J and its own.
        raise SparkError(
            f"Spark does not start on {master!r}: {error}. CLM_SPARK_MASTER says where it runs, and "
            "spark-defaults.conf in SPARK_CONF_DIR how"
        ) from error
    try:
        yield session
    finally:
        session.stop()


def spark_version() -> str:
    """Return the version of PySpark. Raise SparkError without it."""
    _spark_session_class()
    import pyspark

    return str(pyspark.__version__)


def _spark_session_class() -> "type[SparkSession]":
    try:
        # What is used of pandas, Arrow tables to and from frames, is tested with the version of the lock file. PySpark
        # warns where it is imported, and again where a frame is first read.
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SparkError(f"Spark needs PySpark, which is not installed: {error}. Run `{EXTRA}`") from error
    if not _java():
        raise SparkError(
            "Spark needs Java 17 or 21, and there is none: neither JAVA_HOME nor PATH has a program `java`. Install "
            "it, on Debian and Ubuntu with `apt-get install openjdk-17-jre-headless`"
        )
    return SparkSession


def _java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return bool(home and (Path(home) / "bin" / "java").exists()) or shutil.which("java") is not None
