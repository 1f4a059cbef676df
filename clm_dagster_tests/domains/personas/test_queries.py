"""Which customers a training of personas reads."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

from clm_dagster.domains.personas.queries import read_training
from clm_dagster.domains.personas.table_settings import TrainingSettings
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.evaluation.learning import places_of

AS_OF = datetime(2024, 6, 3)
IDS = [f"c{number}" for number in range(3_000)]


def reading(connection: Connection, customers: int) -> Any:
    return SimpleNamespace(
        connection=connection,
        as_of=AS_OF,
        day=AS_OF.date(),
        settings=TrainingSettings(customers, "CLM_PERSONAS_TRAIN_CUSTOMERS"),
        partition=SimpleNamespace(model_as_of=None),
    )


def test_a_larger_shop_is_sampled_with_its_categories(connection: Connection) -> None:
    people = "(select unnest(?) as customer_id)"
    connection.execute("create schema if not exists core")
    connection.execute(
        f"create or replace table core.customer_daily as select customer_id, 1 as orders, date '2024-05-01' as "
        f"activity_date from {people}",
        [IDS],
    )
    numbers = [
        "gross_revenue",
        "net_revenue",
        "units",
        "distinct_products",
        "return_rate",
        "weekend_order_share",
    ]
    columns = ", ".join(f"1.0 as {name}" for name in [*numbers, "evening_order_share", "visits"])
    connection.execute(
        f"create or replace table core.customer_features as select ?::timestamp as as_of, customer_id, 1 as orders, "
        f"{columns} from {people}",
        [AS_OF, IDS],
    )
    connection.execute(
        "create or replace table core.customer_categories as select ?::timestamp as as_of, customer_id, "
        f"'toys' as category, 2.0 as gross_revenue from {people}",
        [AS_OF, IDS],
    )
    found = read_training(reading(connection, 600))
    expected = sorted(one for one, place in zip(IDS, places_of(IDS), strict=True) if place < 600 / len(IDS))
    assert found.customers["customer_id"].tolist() == found.categories["customer_id"].tolist() == expected
    assert (found.sample.available, found.sample.used) == (len(IDS), len(expected))
    assert len(read_training(reading(connection, 5_000)).customers) == len(IDS)
