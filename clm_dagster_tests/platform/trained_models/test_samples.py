"""Training samples: bounded, the same customers in every training, base rates unchanged, and their words."""

from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from clm_dagster.platform.trained_models.samples import (
    ENOUGH,
    TRAIN_CUSTOMERS,
    TrainingSample,
    check_enough,
    train_customers,
)
from clm_dagster.platform.trained_models.snapshots import read_mature, read_sample, read_snapshots
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.evaluation import Difference
from clm_dagster.statistics.evaluation.learning import LearningCurve

AS_OF, EARLIER, LATER = date(2024, 6, 3), date(2024, 5, 6), date(2024, 9, 2)
MOST, BASE_RATE = 2_000, 0.3


def shop(customers: int) -> Connection:
    """Return a shop with two snapshots; three in ten customers churn, and every one in a hundred is new in May."""
    connection = Connection(duckdb.connect())
    connection.execute("create schema core")
    people = f"(select 'c' || i as customer_id, i from range({customers}) as made(i))"
    connection.execute(
        f"create table core.customer_daily as select customer_id, 1 as orders, date '2024-01-01' + (i % 90)::int "
        f"as activity_date from {people}"
    )
    days = f"(values (timestamp '{EARLIER}'), (timestamp '{AS_OF}')) as days(as_of)"
    connection.execute(
        "create table core.customer_features as "
        f"select as_of, customer_id, i % 400 as recency_days from {people}, {days}"
    )
    connection.execute(
        "create table core.churn_labels as select as_of, customer_id, 90 as horizon_days, "
        f"as_of::date + 90 as matures_on, (i % 10 < 3)::int as churned from {people}, {days}"
    )
    return connection


def reading(connection: Connection) -> Any:
    return SimpleNamespace(
        connection=connection, as_of=datetime(AS_OF.year, AS_OF.month, AS_OF.day), day=AS_OF
    )


def test_rows_are_bounded_and_features_and_labels_are_of_the_same_customers() -> None:
    connection = shop(20_000)
    sample = read_sample(reading(connection), MOST, TRAIN_CUSTOMERS)
    assert sample.is_cut and sample.available == 20_000
    assert sample.used == pytest.approx(MOST, rel=0.1)
    features = read_snapshots(reading(connection), [EARLIER, AS_OF], "true", sample.share)
    labels = read_mature(connection, "core.churn_labels", "churned", LATER, [EARLIER, AS_OF], sample.share)
    assert len(features) == 2 * sample.used
    one, other = (set(part["customer_id"]) for _, part in features.groupby("as_of"))
    assert one == other == set(labels["customer_id"])
    assert labels["churned"].mean() == pytest.approx(BASE_RATE, abs=0.04)


def test_a_small_shop_is_read_as_it_is() -> None:
    connection = shop(1_500)
    sample = read_sample(reading(connection), MOST, TRAIN_CUSTOMERS)
    assert (sample.available, sample.used, sample.share) == (1_500, 1_500, 1.0)
    assert len(read_snapshots(reading(connection), [AS_OF], "true", sample.share)) == 1_500
    assert str(sample) == "all 1,500 customers"


def test_a_growing_shop_keeps_to_customers_that_it_has_used_before() -> None:
    chosen = []
    for customers in (10_000, 20_000):
        found = reading(shop(customers))
        share = read_sample(found, MOST, TRAIN_CUSTOMERS).share
        chosen.append(set(read_snapshots(found, [AS_OF], "true", share)["customer_id"]))
    old = {f"c{number}" for number in range(10_000)}
    assert chosen[1] & old < chosen[0]
    assert len(chosen[1] & old) == pytest.approx(MOST / 2, rel=0.15)


def test_a_domain_has_a_bound_of_its_own() -> None:
    settings: Any = SimpleNamespace(train_customers=50_000)
    assert train_customers(settings, None, "CLM_CHURN_TRAIN_CUSTOMERS") == (50_000, TRAIN_CUSTOMERS)
    own = train_customers(settings, 900, "CLM_CHURN_TRAIN_CUSTOMERS")
    assert own == (900, "CLM_CHURN_TRAIN_CUSTOMERS")


CUT = TrainingSample("customers", 1_000_000, 50_123, 0.05)


def curve(gain: float) -> LearningCurve:
    return LearningCurve(
        "roc_auc", True, {25_000: 0.8, 50_000: 0.8 + gain}, Difference(gain, gain - 0.01, gain + 0.01)
    )


def test_the_check_says_whether_the_sample_is_enough() -> None:
    enough, short = (
        check_enough("2024-06-03", CUT, curve(0.001)),
        check_enough("2024-06-03", CUT, curve(0.02)),
    )
    assert enough.check_name == ENOUGH and enough.passed and not short.passed
    text = str(short.description)
    assert text.startswith(
        "2024-06-03: trained on 50,123 of 1,000,000 customers, chosen by a hash of the customer's id "
        "(bound: CLM_TRAIN_CUSTOMERS). roc_auc is 0.8000 with 25,000 customers"
    )
    assert text.endswith("more customers would improve the model; raise CLM_TRAIN_CUSTOMERS")
    assert "raise" not in str(enough.description)


def test_the_check_passes_where_nothing_was_cut() -> None:
    found = check_enough("2024-06-03", TrainingSample("customers", 900, 900), None)
    assert found.passed and found.description == "2024-06-03: trained on all 900 customers"
    assert not check_enough("2024-06-03", CUT, None).passed
