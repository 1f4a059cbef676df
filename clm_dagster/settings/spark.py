"""Settings of Apache Spark, where `clm verify --engine spark` and scores in blocks run on it.

Belongs here: where Spark runs. Does not: how it runs, which is Spark's own configuration (`spark-defaults.conf`).
"""

from pydantic import Field

from clm_dagster.settings.fields import SettingsGroup


class SparkSettings(SettingsGroup):
    """Apache Spark."""

    spark_master: str = Field(
        "local[*]",
        min_length=1,
        description="Where Spark runs: local for this machine, or a cluster, such as spark://host:7077 or yarn.",
    )
