"""Queries of the customer value steps, at one as_of.

Belongs here: SQL that reads finished tables. Does not belong here: computation on the results.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pandas as pd

from clm_dagster.domains.value.names import HISTORY, VALUE
from clm_dagster.domains.value.table_settings import Settings
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.trained_models.snapshots import (
    SnapshotInputs,
    read_evaluation,
    read_mature,
)
from clm_dagster.platform.warehouse import Connection

# SQL predicate for eligible customers: everyone with an order before as_of.
BUYERS = "order_days > 0"


def read_training(reading: Reading[Settings]) -> SnapshotInputs:
    """Read the inputs of a training."""
    return read_evaluation(reading, BUYERS, read_labels)


def read_labels(connection: Connection, as_of: date, days: Sequence[date]) -> pd.DataFrame:
    """Return the labels at these snapshots that were mature at `as_of`."""
    columns = "net_revenue::double as net_revenue, orders"
    return read_mature(connection, "core.value_labels", columns, as_of, days)


def read_buyers(reading: Reading[Any]) -> CustomerRows:
    """Return every customer with an order before as_of, rows of core.customer_features, by shard."""
    buyers = f"select * from core.customer_features where as_of = timestamp '{reading.as_of}' and {BUYERS}"
    return reading.rows("buyers", reading.shards(buyers), f"{buyers} order by customer_id")


def read_history(connection: Connection, as_of: date) -> pd.DataFrame:
    """Return the columns `HISTORY` of every customer with an order before as_of."""
    return connection.frame(
        f"select {', '.join(HISTORY)} from core.customer_features where as_of = ? and {BUYERS} order by customer_id",
        [as_of],
    )


def read_value(connection: Connection, as_of: date) -> pd.DataFrame:
    """Return the expected orders and revenue of each customer at a snapshot, and what they are scored by."""
    return connection.frame(
        "select expected_orders, expected_revenue, horizon_days, model_name, model_version "
        f"from {VALUE} where as_of = ? order by customer_id",
        [as_of],
    )
