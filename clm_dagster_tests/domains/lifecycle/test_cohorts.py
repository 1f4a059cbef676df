"""Cohorts and funnel compared with pandas; the map of stages, checks and metadata."""

from datetime import datetime

import duckdb
import pandas as pd
import pytest

from clm_dagster.domains.lifecycle.checks import visits_check
from clm_dagster.domains.lifecycle.facts import cutoff_facts
from clm_dagster.domains.lifecycle.model import STAGES, stage_map_problems
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.lifecycle.shop import AS_OF, START, events_of, fill, order_days

MAP = pd.read_csv(PROJECT_DIR / "dbt_like_sql" / "seeds" / "stage_map.csv")


@pytest.fixture
def in_memory() -> Connection:
    return Connection(duckdb.connect())


def test_cohorts_match_pandas_for_any_row_order(in_memory: Connection, project: Project) -> None:
    events = events_of(order_days())
    early = events[events.event_type == "return"].head(1).assign(event_at=pd.Timestamp("2022-01-01 10:00"))
    events = pd.concat([events, early], ignore_index=True)
    tables = []
    for seed in (0, 1):
        fill(in_memory, project, events.sample(frac=1, random_state=seed))
        built = build(in_memory, project, ["cohort_retention"], f"s{seed}", {}, as_of=AS_OF, start=START)
        tables.append(
            in_memory.frame(f"from {built['cohort_retention']} order by cohort_month, months_since")
        )
    pd.testing.assert_frame_equal(tables[0], tables[1])
    rows = events[events.event_at < AS_OF].assign(month=lambda f: f.event_at.dt.to_period("M"))
    bought = rows[rows.event_type == "purchase"]
    first = bought.groupby("customer_id").month.min()
    signs = rows.event_type.map({"purchase": 1, "return": -1}).fillna(0)
    rows["net"] = (signs * rows.unit_price.fillna(0)).astype(float)
    expected = []
    for cohort, members in first.groupby(first):
        total = 0.0
        mine = rows[rows.customer_id.isin(members.index)]
        for since, month in enumerate(pd.period_range(cohort, rows.month.max(), freq="M")):
            inside = mine[(mine.month == month) | ((since == 0) & (mine.month < cohort))]
            orders = inside[inside.event_type == "purchase"]
            total += inside.net.sum()
            expected.append(
                (
                    cohort.to_timestamp(),
                    since,
                    month.to_timestamp(),
                    len(members),
                    orders.customer_id.nunique(),
                    orders.customer_id.nunique() / len(members),
                    orders.order_id.nunique(),
                    inside.net.sum(),
                    total / len(members),
                )
            )
    found = tables[0].astype({"net_revenue": float, "cumulative_value": float})
    pd.testing.assert_frame_equal(
        found, pd.DataFrame(expected, columns=found.columns), check_dtype=False, rtol=0, atol=1e-4
    )
    known = rows[rows.customer_id.isin(first.index)]
    assert found.net_revenue.sum() == pytest.approx(known.net.sum())


def test_the_funnel_over_channels_adds_up_to_the_shops_totals(
    in_memory: Connection, project: Project
) -> None:
    def event(kind: str, at: str, **values: object) -> dict[str, object]:
        return {"event_at": pd.Timestamp(at), "event_type": kind, "customer_id": "anna"} | values

    line = {"order_id": "o1", "product_id": "p1", "quantity": 1, "unit_price": 5.0}
    events = pd.DataFrame(
        [
            event("visit", "2024-01-01 09:00", session_id="s1", channel="web"),
            event("visit", "2024-01-01 09:30", session_id="s1", channel="web"),
            event("visit", "2024-01-01 10:00", session_id="s2", channel="app", customer_id=None),
            event("view", "2024-01-01 09:01", session_id="s1", channel="web"),
            event("view", "2024-01-01 09:02", session_id="s1", channel="web"),
            event("add_to_cart", "2024-01-01 09:03", session_id="s1", channel="web"),
            event("purchase", "2024-01-01 09:05", channel="web", **line),
            event("purchase", "2024-01-01 09:05", channel="web", **line | {"product_id": "p2"}),
            event("purchase", "2024-01-02 09:05", channel=None, **line | {"order_id": "o2"}),
        ]
    )
    fill(in_memory, project, events)
    built = build(
        in_memory,
        project,
        ["funnel_daily", "totals_daily"],
        "s",
        {},
        as_of=datetime(2024, 1, 8),
        start=datetime(2024, 1, 1).date(),
    )
    rows = in_memory.execute(
        f"select channel, visits, sessions, views, carts, orders, views_per_session, carts_per_view, "
        f"orders_per_cart, conversion from {built['funnel_daily']} order by activity_date, channel"
    )
    assert rows == [
        ("app", 1, 1, 0, 0, 0, 0.0, None, None, 0.0),
        ("web", 2, 1, 2, 1, 1, 2.0, 0.5, 1.0, 1.0),
        ("unknown", 0, 0, 0, 0, 1, None, None, None, None),
    ]
    sums = "sum(visits), sum(sessions), sum(orders), sum(gross_revenue)"
    assert in_memory.execute(f"select {sums} from {built['channel_daily']}") == in_memory.execute(
        f"select {sums} from {built['totals_daily']}"
    )


def test_without_visits_the_funnel_is_empty_and_the_check_warns(
    in_memory: Connection, project: Project
) -> None:
    events = events_of(order_days(customers=20))
    for with_visits, schema in ((False, "core"), (True, "core")):
        fill(in_memory, project, events if with_visits else events[events.event_type != "visit"])
        built = build(in_memory, project, ["funnel_daily"], schema, {}, as_of=AS_OF, start=START)
        count = in_memory.scalar(f"select count(*) from {built['funnel_daily']}")
        problems = visits_check(in_memory).problems
        assert (count > 0, not problems) == (with_visits, with_visits)
        assert all("no event of type visit" in problem for problem in problems)


@pytest.mark.parametrize(
    ("as_of", "words"),
    [
        (datetime(2022, 12, 1), "Fixed days, because the shop is too young at 2022-12-01"),
        (AS_OF, "repurchases of this"),
    ],
)
def test_the_metadata_explain_the_cutoffs(
    as_of: datetime, words: str, in_memory: Connection, project: Project
) -> None:
    fill(in_memory, project, events_of(order_days()))
    build(in_memory, project, ["lifecycle_cutoffs"], "core", {}, as_of=as_of, start=START)
    facts = cutoff_facts(in_memory)
    assert words in facts["cutoffs_from"]
    assert f"{facts['active_days']}" in facts["cutoffs_from"] or facts["active_days"] == 100
    assert facts["snapshots_with_fixed_cutoffs"] == (1 if as_of < AS_OF else 0)


def changed(stage: str, **values: str | None) -> pd.DataFrame:
    other = MAP.copy()
    for column, value in values.items():
        other.loc[other.stage == stage, column] = value
    return other


def test_the_shipped_map_is_valid() -> None:
    assert stage_map_problems(MAP) == []
    assert MAP.sort_values("position").stage.to_list() == list(STAGES)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (MAP[MAP.stage != "lost"], "the stage 'lost' is missing"),
        (pd.concat([MAP, MAP.head(1)]), "the stage 'prospect' appears 2 times"),
        (
            changed("new", five_stage="growth"),
            "five_stage of 'new' is 'growth'; expected one of acquisition, ",
        ),
        (changed("new", seven_stage=None), "seven_stage of 'new' is ''; expected one of acquire, "),
        (
            pd.concat([MAP, MAP.head(1).assign(stage="vip")]),
            "'vip' is not a stage; the stages are prospect, ",
        ),
        (pd.concat([MAP, MAP.head(1).assign(stage=None)]), "a row has no stage"),
    ],
)
def test_problems_of_a_map_are_reported(rows: pd.DataFrame, problem: str) -> None:
    (found,) = stage_map_problems(rows)
    assert found.startswith(problem)
