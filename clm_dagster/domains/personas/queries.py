"""Queries of the personas domain, at one as_of.

Belongs here: SQL that reads finished tables. Does not belong here: computation on the results.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from clm_dagster.domains.personas.features import habits, own_habits
from clm_dagster.domains.personas.model import PersonaModel, PreviousPersonas
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.warehouse import Connection

MODEL, PERSONAS = "models.persona_model", "marts.personas"
_COLUMNS = ", ".join(
    (
        "customer_id",
        "orders",
        "gross_revenue",
        "net_revenue",
        "units",
        "distinct_products",
        "return_rate",
        "weekend_order_share",
        "evening_order_share",
        "visits",
    )
)


@dataclass(frozen=True)
class TrainingInputs:
    """Inputs of a training: customers and their categories at one as_of, and the previous personas."""

    customers: pd.DataFrame
    categories: pd.DataFrame
    previous: PreviousPersonas | None


@dataclass(frozen=True)
class AssignmentInputs:
    """Inputs of an assignment: customers and their categories at one as_of, by shard, and the model.

    row: the model's row in models.persona_model. model and row are None if no model was trained at or before as_of.
    assigned: the stored customer_id and persona_id; empty unless `read_assigned` reads them.
    """

    customers: CustomerRows
    categories: CustomerRows
    model: PersonaModel | None
    row: pd.Series | None
    assigned: pd.DataFrame

    def own_habits(self, model: PersonaModel, shard: int) -> pd.DataFrame:
        """Return the habits of a shard, with shares that are not shrunk yet."""
        return own_habits(self.customers.shard(shard), self.categories.shard(shard), model.scaling.habits)


def read_training(reading: Reading[Any]) -> TrainingInputs:
    """Read the inputs of a training."""
    customers, categories = _read_customers(reading.connection, reading.as_of)
    model, row = _read_model(reading)
    previous = None
    if model is not None and row is not None:
        earlier = habits(*_read_customers(reading.connection, row["as_of"]), model.scaling.habits)
        previous = PreviousPersonas(model, model.assign(earlier)["persona_id"])
    return TrainingInputs(customers, categories, previous)


def read_customers(reading: Reading[Any]) -> AssignmentInputs:
    """Read the customers to assign and the model."""
    known = f"select {_COLUMNS} from core.customer_features where as_of = timestamp '{reading.as_of}' and orders > 0"
    bought = (
        "select customer_id, category, gross_revenue from core.customer_categories "
        f"where as_of = timestamp '{reading.as_of}' order by customer_id, category"
    )
    shards = reading.shards(known)
    customers = reading.rows("customers", shards, f"{known} order by customer_id")
    categories = reading.rows("categories", shards, bought)
    model, row = _read_model(reading)
    return AssignmentInputs(customers, categories, model, row, pd.DataFrame())


def read_assigned(reading: Reading[Any]) -> AssignmentInputs:
    """Read the customers, the model and the stored assignment."""
    found = read_customers(reading)
    assigned = reading.connection.frame(
        f"select customer_id, persona_id from {PERSONAS} where as_of = ? order by customer_id",
        [reading.as_of],
    )
    return AssignmentInputs(found.customers, found.categories, found.model, found.row, assigned)


def _read_model(reading: Reading[Any]) -> tuple[PersonaModel | None, pd.Series | None]:
    trained_at = reading.partition.model_as_of
    if trained_at is None:
        return None, None
    rows = reading.connection.frame(f"select * from {MODEL} where as_of = ?", [trained_at])
    row = rows.iloc[0]
    return (PersonaModel.from_json(row["model"]) if isinstance(row["model"], str) else None), row


def _read_customers(connection: Connection, as_of: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    customers = connection.frame(
        f"select {_COLUMNS} from core.customer_features where as_of = ? and orders > 0 order by customer_id",
        [as_of],
    )
    categories = connection.frame(
        "select customer_id, category, gross_revenue from core.customer_categories where as_of = ? "
        "order by customer_id, category",
        [as_of],
    )
    return customers, categories
