"""Features and RFM of a shop, compared with a computation that shares no code with the SQL."""

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection, Warehouse
from clm_dagster.settings import Settings

Shop = tuple[Settings, Warehouse, pd.DataFrame]
SNAPSHOTS = ["2024-01-08", "2024-01-15", "2024-01-22"]


def typed(events: pd.DataFrame, as_of: str) -> pd.DataFrame:
    frame = events[events.customer_id != ""].copy()
    frame["event_at"] = pd.to_datetime(frame.event_at)
    frame = frame[frame.event_at < as_of]
    amount = pd.to_numeric(frame.quantity) * pd.to_numeric(frame.unit_price)
    frame["amount"] = amount.fillna(0).round(4)
    frame["day"] = frame.event_at.dt.normalize()
    return frame


def expected_features(events: pd.DataFrame, as_of: str) -> pd.DataFrame:
    frame, end = typed(events, as_of), pd.Timestamp(as_of)
    rows = []
    for customer, mine in frame.groupby("customer_id"):
        bought = mine[mine.event_type == "purchase"]
        returned = mine[mine.event_type == "return"].amount.sum()
        days = sorted(bought.day.unique())
        # An order counts on each day on which it has a line; its hour is that of the day's first line.
        orders = bought.groupby(["day", "order_id"]).event_at.min().reset_index()
        gaps = [(b - a).days for a, b in pairwise(days)]
        recent = mine[mine.day >= end - pd.Timedelta(days=30)]
        visits = mine[mine.event_type == "visit"]
        rows.append(
            {
                "customer_id": customer,
                "first_seen_date": mine.day.min(),
                "last_seen_date": mine.day.max(),
                "first_order_date": days[0] if days else pd.NaT,
                "last_order_date": days[-1] if days else pd.NaT,
                "recency_days": (end - days[-1]).days if days else np.nan,
                "tenure_days": (end - days[0]).days if days else np.nan,
                "previous_order_days": (end - days[-2]).days if len(days) > 1 else np.nan,
                "order_days": len(days),
                "orders": len(orders),
                "orders_30d": recent[recent.event_type == "purchase"].order_id.nunique(),
                "mean_gap_days": np.mean(gaps) if gaps else np.nan,
                "sd_gap_days": np.std(gaps, ddof=1) if len(gaps) > 1 else np.nan,
                "net_revenue": bought.amount.sum() - returned,
                "gross_revenue": bought.amount.sum(),
                "average_order_value": bought.amount.sum() / len(orders) if len(orders) else np.nan,
                "units": pd.to_numeric(bought.quantity).sum(),
                "distinct_products": bought.product_id.nunique(),
                "return_rate": returned / bought.amount.sum() if len(bought) else np.nan,
                "weekend_order_share": (orders.day.dt.day_of_week >= 5).mean() if len(orders) else np.nan,
                "evening_order_share": (orders.event_at.dt.hour >= 18).mean() if len(orders) else np.nan,
                "visits": len(visits),
                "views": 0,
                "carts": 0,
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("as_of", SNAPSHOTS)
def test_customer_features(as_of: str, built_shop: Shop, built: Connection) -> None:
    expected = expected_features(built_shop[2], as_of)
    stored = built.frame("select * from core.customer_features where as_of = ? order by customer_id", [as_of])
    assert list(stored.customer_id) == list(expected.customer_id)
    for column in expected.columns.drop("customer_id"):
        ours, theirs = stored[column], expected[column]
        if column.endswith("_date"):
            pd.testing.assert_series_equal(pd.to_datetime(ours), pd.to_datetime(theirs), check_dtype=False)
        else:
            np.testing.assert_allclose(
                ours.astype(float), theirs.astype(float), rtol=1e-9, atol=5.1e-5, err_msg=column
            )


def by_definition(frame: pd.DataFrame) -> pd.DataFrame:
    """Compare every customer with every other: 1 + floor(5 x worse / all)."""
    count = len(frame)

    def score(values: pd.Series, better_is_less: bool) -> list[int]:
        return [
            1 + 5 * sum((other > mine) if better_is_less else (other < mine) for other in values) // count
            for mine in values
        ]

    return pd.DataFrame(
        {
            "customer_id": frame.customer_id,
            "r_score": score(frame.recency_days, True),
            "f_score": score(frame.frequency, False),
            "m_score": score(frame.monetary, False),
        }
    )


@pytest.mark.parametrize("as_of", SNAPSHOTS)
def test_rfm(as_of: str, built_shop: Shop, built: Connection) -> None:
    frame = typed(built_shop[2], as_of)
    bought = frame[frame.event_type == "purchase"]
    signs = frame.event_type.map({"purchase": 1, "return": -1}).fillna(0)
    expected = pd.DataFrame(
        {
            "recency_days": (pd.Timestamp(as_of) - bought.groupby("customer_id").day.max()).dt.days,
            "frequency": bought.groupby("customer_id").day.nunique(),
        }
    )
    net = (frame.amount * signs).groupby(frame.customer_id).sum()
    expected["monetary"] = net.reindex(expected.index)
    expected = expected.reset_index()
    expected["monetary"] = expected["monetary"].round(4)
    expected = expected.merge(by_definition(expected))
    cells = pd.read_csv(built_shop[0].sql_dir / "seeds" / "rfm_segment_map.csv")
    expected = expected.merge(cells, how="left").sort_values("customer_id").reset_index(drop=True)
    stored = built.frame(
        "select * exclude (as_of, previous_as_of, previous_segment) from marts.rfm_segments "
        "where as_of = ? order by customer_id",
        [as_of],
    )
    stored["monetary"] = stored["monetary"].astype(float).round(4)
    pd.testing.assert_frame_equal(stored[expected.columns], expected, check_dtype=False)


CUSTOMERS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(-300, 300)), min_size=1, max_size=40
)


@pytest.fixture
def in_memory() -> Connection:
    import duckdb

    return Connection(duckdb.connect())


@given(customers=CUSTOMERS, order=st.randoms(use_true_random=False))
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rfm_matches_its_definition_for_any_row_order(
    customers: list[tuple[int, int, int]], order: object, in_memory: Connection, project: Project
) -> None:
    frame = pd.DataFrame(customers, columns=["recency_days", "order_days", "cents"])
    frame["customer_id"] = [f"c{n:03d}" for n in range(len(frame))]
    frame["as_of"] = datetime(2024, 1, 8)
    frame["net_revenue"] = frame.cents / 100
    features = frame.drop(columns="cents")

    def scores(shuffled: pd.DataFrame) -> pd.DataFrame:
        in_memory.execute("create schema if not exists given")
        in_memory.load_frame("given.features", shuffled)
        in_memory.execute("alter table given.features alter net_revenue type decimal(18, 4)")
        relation = build(
            in_memory,
            project,
            ["rfm_scores"],
            "scratch",
            {"customer_features": "given.features"},
            as_of=datetime(2024, 1, 8),
        )["rfm_scores"]
        return in_memory.frame(f"from {relation} order by customer_id")

    found = scores(features)
    expected = by_definition(
        frame.assign(frequency=frame.order_days, monetary=frame.cents)[
            ["customer_id", "recency_days", "frequency", "monetary"]
        ]
    )
    pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False)
    for value, score in (("recency_days", "r_score"), ("frequency", "f_score"), ("monetary", "m_score")):
        assert (found.groupby(value)[score].nunique() == 1).all()
        assert found[score].between(1, 5).all()
    again = scores(features.sample(frac=1, random_state=order.randint(0, 999)))  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(again, found)


# -------------------------------------------------------------------------- ranges and leaks


def copy_of(built: Connection, relation: str, as_of: str | None = None) -> pd.DataFrame:
    where = f"where as_of = timestamp '{as_of}'" if as_of else ""
    return built.frame(f"select * from {relation} {where} order by all")


def test_one_range_equals_day_by_day_and_week_by_week(project: Project, built: Connection) -> None:
    day = datetime(2024, 1, 1)
    models = ["customer_daily", "product_daily", "totals_daily"]
    while day < datetime(2024, 1, 22):
        build(built, project, models, "by_day", {}, start=day.date(), end=(day + timedelta(days=1)).date())
        day += timedelta(days=1)
    for model in models:
        pd.testing.assert_frame_equal(copy_of(built, f"by_day.{model}"), copy_of(built, f"core.{model}"))
    for as_of in reversed(SNAPSHOTS):  # the later first
        build(built, project, ["rfm_segments"], "by_week", {}, as_of=datetime.fromisoformat(as_of))
    for model in ("core.customer_features", "core.rfm_scores", "marts.rfm_segments"):
        theirs = f"by_week.{model.split('.')[1]}"
        pd.testing.assert_frame_equal(copy_of(built, theirs), copy_of(built, model))


def test_building_twice_gives_the_same_rows(project: Project, built: Connection) -> None:
    def once() -> list[pd.DataFrame]:
        relations = build(
            built, project, ["rfm_segments", "shop_daily"], "twice", {}, as_of=datetime(2024, 1, 15)
        )
        return [copy_of(built, relation) for relation in relations.values()]

    for before, after in zip(once(), once(), strict=True):
        pd.testing.assert_frame_equal(after, before)


@pytest.mark.parametrize(
    "change",
    [
        "delete from leak.events where event_at >= timestamp '2024-01-15'",
        "update leak.events set quantity = quantity * 7, line_amount = line_amount * 7, customer_id = 'c000', "
        "country = 'XX', event_type = 'purchase', order_id = 'new', unit_price = 5 "
        "where event_at >= timestamp '2024-01-15'",
        "insert into leak.events by name select * replace (event_id || '+' as event_id, "
        "event_at + interval 14 day as event_at, 99 as quantity, 990 as line_amount) from leak.events",
        "insert into leak.events by name select * replace (event_id || '=' as event_id, "
        "timestamp '2024-01-15' as event_at) from leak.events",
    ],
    ids=["removed", "altered", "added", "added at as_of"],
)
@pytest.mark.parametrize("model", ["customer_features", "rfm_segments", "stg_products"])
def test_events_at_or_after_as_of_change_nothing(
    change: str, model: str, project: Project, built: Connection
) -> None:
    built.execute("create schema if not exists leak")
    built.execute("create or replace table leak.events as from raw.events")
    built.execute(change)
    assert copy_of(built, "leak.events").shape != copy_of(built, "raw.events").shape or "update" in change
    relations = []
    for schema, source in (("actual", "raw.events"), ("future", "leak.events")):
        relations.append(
            build(
                built,
                project,
                [model],
                f"{schema}_{model}",
                {"raw.events": source},
                as_of=datetime(2024, 1, 15),
                end=datetime(2024, 3, 1).date(),
            )[model]
        )
    actual, future = (copy_of(built, relation) for relation in relations)
    assert len(actual) > 10
    pd.testing.assert_frame_equal(future, actual)
    for relation in relations:
        built.execute(f"drop schema {relation.split('.')[0]} cascade")
