"""Figures of facts against pandas, over random shops; what happens from as_of on changes none of them."""

from datetime import date, datetime, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from clm_dagster.domains.report.fact import Fact
from clm_dagster.domains.report.fact_queries import read_facts
from clm_dagster.domains.report.fact_settings import FactSettings
from clm_dagster.domains.report.facts import facts_of
from clm_dagster.platform.build_ledger.versions import ABSENT
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading
from clm_dagster.platform.resources import load_sql
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import load_settings

DAY = date(2024, 6, 10)
AS_OF = datetime(2024, 6, 10)
STAGES = np.array(["new", "loyal", "at_risk", "lost"])
SEGMENTS = np.array(["champions", "new", "hibernating"])


class RandomShop:
    """Orders of 20 weeks before as_of and two after it, and snapshots of their customers with random states."""

    def __init__(self, seed: int, customers: int = 40) -> None:
        random = np.random.default_rng(seed)
        size = 600
        self.orders = pd.DataFrame(
            {
                "day": [DAY + timedelta(days=int(n)) for n in random.integers(-140, 14, size)],
                "customer": [f"c{n}" for n in random.integers(0, customers, size)],
                "channel": random.choice(["web", "shop"], size),
                "country": random.choice(["DE", "FR"], size),
                "gross": random.integers(0, 20_000, size) / 100,
                "returned": np.where(random.random(size) < 0.1, random.integers(0, 9_000, size) / 100, 0.0),
            }
        )
        self.orders.loc[random.random(size) < 0.15, "customer"] = None
        # Two ids of one person.
        self.orders["person"] = self.orders["customer"].replace({"c1": "c0"})
        self.orders["net"] = self.orders["gross"] - self.orders["returned"]
        people = sorted(self.orders["person"].dropna().unique())
        self.states = pd.DataFrame(
            [
                (
                    AS_OF - timedelta(weeks=back),
                    person,
                    str(random.choice(STAGES)),
                    str(random.choice(SEGMENTS)),
                )
                for back in (-1, 0, 1, 2, 4, 5)
                for person in people
                if random.random() < 0.9
            ],
            columns=["as_of", "customer_id", "stage", "segment"],
        )

    def load(self, connection: duckdb.DuckDBPyConnection, before: date | None = None) -> None:
        orders = self.orders if before is None else self.orders[self.orders["day"] < before]
        states = self.states if before is None else self.states[self.states["as_of"] <= AS_OF]
        connection.register("states_frame", states)
        connection.register("floats", orders)
        for statement in (
            # Money is exact, as in a warehouse: sums do not depend on the order of threads.
            """create view orders_frame as select * replace (gross::decimal(18, 4) as gross,
            returned::decimal(18, 4) as returned, net::decimal(18, 4) as net) from floats""",
            "create schema core; create schema marts; create schema staging; create schema raw; create schema models",
            """create table core.totals_daily as select day::date as sales_date, count(*) as orders,
            count(*) filter (where customer is null) as guest_orders, sum(gross) as gross_revenue, 0 as discounts,
            sum(returned) as returned_revenue, 0 as refunds, sum(net) as net_revenue, 0 as sessions
            from orders_frame group by 1""",
            """create table core.channel_daily as select day::date as activity_date, channel, sum(net) as net_revenue
            from orders_frame group by all""",
            """create table core.customer_daily as select day::date as activity_date, customer as customer_id,
            max(country) as country, count(*) as orders, sum(gross) as gross_revenue, 0 as discounts,
            sum(returned) as returned_revenue, 0 as refunds, sum(net) as net_revenue
            from orders_frame where customer is not null group by all""",
            """create table core.order_days as select day::date as order_date, rowid_::varchar as order_id,
            customer as customer_id, gross as gross_revenue, 0 as discounts, returned as returned_revenue
            from (select *, row_number() over () as rowid_ from orders_frame)""",
            f"""create table core.customer_features as select timestamp '{AS_OF}' as as_of, person as customer_id,
            min(day)::date as first_order_date from orders_frame
            where person is not null and day < '{DAY}' group by 2""",
            f"""create table core.customer_identities as select timestamp '{AS_OF}' as as_of,
            unnest(['c0', 'c1']) as customer_id, 'c0' as person_id""",
            "create table core.stage_states as select as_of, customer_id, stage from states_frame",
            "create table core.rfm_states as select as_of, customer_id, segment from states_frame",
        ):
            connection.execute(statement)


def facts_at(shop: RandomShop, before: date | None = None) -> dict[tuple[str, str, str], Fact]:
    partition = PartitionContext("2024-06-03", AS_OF, None, ABSENT, True)
    with duckdb.connect() as raw:
        shop.load(raw, before)
        reading = Reading(Connection(raw), partition, FactSettings("EUR", ("en",), ""), PROJECT)
        return {fact.name: fact for fact in facts_of(read_facts(reading))}


PROJECT: Project = load_sql(load_settings())


def of_week(shop: RandomShop, back: int) -> pd.DataFrame:
    end = DAY - timedelta(days=7 * back)
    return shop.orders[(shop.orders["day"] < end) & (shop.orders["day"] >= end - timedelta(days=7))]


def expected_of(shop: RandomShop, back: int) -> dict[tuple[str, str, str], float]:
    """Figures of one week, from the orders alone."""
    week, past = of_week(shop, back), shop.orders[shop.orders["day"] < DAY]
    known = week.dropna(subset="person")
    first = past.groupby("person")["day"].min()
    buyers = set(known["person"])
    new = {person for person in buyers if first[person] >= DAY - timedelta(days=7 * (back + 1))}
    figures = {
        ("revenue", "revenue", ""): float(week["net"].sum()),
        ("revenue", "orders", ""): float(len(week)),
        ("revenue", "order_value", ""): float(week["gross"].sum() / len(week)),
        ("revenue", "return_rate", ""): float(week["returned"].sum() / week["gross"].sum()),
        ("customers", "active", ""): float(len(buyers)),
        ("customers", "new", ""): float(len(new)),
        ("customers", "returning", ""): float(len(buyers - new)),
    }
    states = shop.states[shop.states["as_of"] == AS_OF - timedelta(weeks=back)]
    for kind, section in (("segment", "segments"), ("stage", "lifecycle")):
        for state in STAGES if kind == "stage" else SEGMENTS:
            figures[section, f"customers_in_{kind}", str(state)] = float((states[kind] == state).sum())
    earlier = shop.states[shop.states["as_of"] == AS_OF - timedelta(weeks=back + 1)]
    both = states.merge(earlier, on="customer_id", suffixes=("", "_before"))
    figures["customers", "lost", ""] = float(
        ((both["stage"] == "lost") & (both["stage_before"] != "lost")).sum()
    )
    figures["customers", "won_back", ""] = float(
        ((both["stage"] != "lost") & (both["stage_before"] == "lost")).sum()
    )
    return figures


@pytest.mark.parametrize("seed", range(4))
def test_figures_equal_those_of_pandas(seed: int) -> None:
    shop = RandomShop(seed)
    facts = facts_at(shop)
    for back, place in ((0, "value"), (1, "week_ago"), (4, "four_weeks_ago")):
        expected = expected_of(shop, back)
        found = {name: getattr(facts[name].compared, place) for name in expected}
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_reasons_add_up_and_noise_is_that_of_pandas(seed: int) -> None:
    shop = RandomShop(seed)
    facts = facts_at(shop)
    revenue = facts["revenue", "revenue", ""].compared
    assert revenue is not None and revenue.noise_week is not None
    reasons = [fact.value or 0.0 for fact in facts.values() if fact.fact == "revenue_change_by"]
    assert sum(reasons) == pytest.approx(revenue.change_week)
    totals = [float(of_week(shop, back)["net"].sum()) for back in range(20)]
    changes = np.array([totals[back] - totals[back + 1] for back in range(1, 14)])
    usual = t.ppf(0.95, 13 / 1.5) * np.sqrt((changes**2).mean())
    units = []
    for back in (0, 1):
        week = of_week(shop, back)
        guests = pd.Series([f"guest {n}" for n in week.index], index=week.index)
        units.append(week.assign(unit=week["person"].fillna(guests)))
    by_unit = [week.groupby("unit")["net"].sum() for week in units]
    sampling = 1.645 * np.sqrt((by_unit[0].sub(by_unit[1], fill_value=0) ** 2).sum())
    assert revenue.noise_week == pytest.approx(max(usual, sampling))
    states = {back: shop.states[shop.states["as_of"] == AS_OF - timedelta(weeks=back)] for back in (0, 1)}
    both = states[0].merge(states[1], on="customer_id", how="outer", suffixes=("", "_before"))
    moved = both[(both["stage"] != both["stage_before"])]
    movers = int((moved["stage"] == "lost").sum() + (moved["stage_before"] == "lost").sum())
    lost = facts["lifecycle", "customers_in_stage", "lost"].compared
    assert lost is not None and lost.noise_week == pytest.approx(1.645 * np.sqrt(movers))


def test_what_happens_from_as_of_on_changes_nothing() -> None:
    shop = RandomShop(9)
    assert facts_at(shop) == facts_at(shop, before=DAY)


def test_a_shop_without_any_table_of_models_is_reported() -> None:
    facts = facts_at(RandomShop(1))
    assert not facts["trust", "models", ""].is_trusted
    assert ("churn", "customers_at_high_risk", "") not in facts
    assert facts["actions", "planned", ""].amount == 0
