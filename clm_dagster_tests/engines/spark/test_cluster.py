"""What is missing is said: PySpark, Java."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from clm_dagster.engines.spark import cluster
from clm_dagster.engines.spark.cluster import SparkError, spark_session
from clm_dagster.engines.spark.engine import SparkEngine
from clm_dagster.settings import load_settings


def test_without_pyspark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    original = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.split(".")[0] == "pyspark":
            raise ImportError("No module named 'pyspark'")
        return original(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(SparkError, match=r"pip install 'clm-dagster\[spark\]'"),
        spark_session("local[2]", tmp_path),
    ):
        pass


def test_without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SparkError, match="Java 17"), spark_session("local[2]", tmp_path):
        pass


def test_the_setting_says_where_spark_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_spark_session_class", lambda: None)
    monkeypatch.setattr("clm_dagster.engines.spark.engine.spark_version", lambda: "4.3.0")
    settings = load_settings(spark_master="spark://here:7077")
    assert SparkEngine(settings).version == "Spark 4.3.0 on spark://here:7077"
