"""Transitions and causes of moves, compared with joins in pandas and with a swap of causes per customer."""

from datetime import datetime, timedelta
from itertools import pairwise, permutations

import duckdb
import pandas as pd
import pytest

from clm_dagster.domains.lifecycle import charts
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.lifecycle.shop import events_of, fill, order_days, snapshots

AS_OFS = [datetime(2023, 10, 2) + timedelta(days=7 * week) for week in (0, 1, 3, 4)]
CELLS = pd.read_csv(PROJECT_DIR / "dbt_like_sql" / "seeds" / "rfm_segment_map.csv")
CAUSES = ("late", "time", "purchases", "cutoffs")


@pytest.fixture
def in_memory() -> Connection:
    return Connection(duckdb.connect())


@pytest.mark.parametrize(
    ("kind", "model", "state", "money"),
    [
        ("stage", "stage_states", "stage", "net_revenue"),
        ("rfm_segment", "rfm_scores", "segment", "monetary"),
    ],
)
def test_transitions_add_up_to_the_customers_of_both_snapshots(
    kind: str, model: str, state: str, money: str, in_memory: Connection, project: Project
) -> None:
    fill(in_memory, project, events_of(order_days(customers=150)))
    built = snapshots(in_memory, project, ["stage_transitions"], [AS_OFS[i] for i in (2, 0, 3, 1)])
    # One customer is removed, as after a correction.
    in_memory.execute(
        f"delete from {built[model]} where as_of = ? and customer_id = (select min(customer_id) from {built[model]})",
        [AS_OFS[3]],
    )
    found = in_memory.frame(f"from {built['stage_transitions']} where state_kind = '{kind}'")
    states = in_memory.frame(
        f"select as_of, customer_id, {state} as state, {money} as money from {built[model]}"
    )
    assert sorted(found.as_of.unique()) == [pd.Timestamp(at) for at in AS_OFS[1:]]
    for before, after in pairwise(AS_OFS):
        old, new = (states[states.as_of == at].set_index("customer_id") for at in (before, after))
        pairs = old.merge(new, "outer", left_index=True, right_index=True, suffixes=("_old", "_new"))
        pairs = pairs.fillna({"state_old": "absent", "state_new": "absent"})
        for column in ("money_old", "money_new"):
            pairs[column] = pairs[column].astype(float).fillna(0)
        expected = pairs.groupby(["state_old", "state_new"]).agg(
            customers=("money_old", "size"), previous=("money_old", "sum"), now=("money_new", "sum")
        )
        mine = found[found.as_of == after].set_index(["from_state", "to_state"]).sort_index()
        assert set(mine.previous_as_of) == {pd.Timestamp(before)}
        assert mine.index.to_list() == expected.index.to_list()
        assert mine.customers.to_list() == expected.customers.to_list()
        assert mine.previous_net_revenue.astype(float).to_list() == pytest.approx(expected.previous.to_list())
        assert mine.net_revenue.astype(float).to_list() == pytest.approx(expected.now.to_list())
        assert mine.drop("absent", level=0, errors="ignore").customers.sum() == len(old)
        assert mine.drop("absent", level=1, errors="ignore").customers.sum() == len(new)
    assert (found.to_state == "absent").sum() == 1


def test_the_chart_counts_each_customer_once_between_the_ends_of_its_period(
    in_memory: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = pd.DataFrame(
        [
            (at, f"c{n}", stage)
            for at, stages in zip(AS_OFS, ("aab", "abbc", "abca", "bbc"), strict=True)
            for n, stage in enumerate(stages)
        ],
        columns=["as_of", "customer_id", "stage"],
    )
    in_memory.execute("create schema core")
    in_memory.execute("create table core.stage_states (as_of timestamp, customer_id varchar, stage varchar)")
    for row in states.itertuples(index=False):
        in_memory.execute("insert into core.stage_states values (?, ?, ?)", [*row])
    found = charts.stages_then_and_now(in_memory).set_index(["from_state", "to_state"])
    assert found.customers.to_dict() == {("a", "b"): 2, ("b", "c"): 1}
    assert set(found["first"]) == {pd.Timestamp(AS_OFS[0])} and set(found["last"]) == {
        pd.Timestamp(AS_OFS[3])
    }
    monkeypatch.setattr(charts, "_WEEKS_SHOWN", 1)
    found = charts.stages_then_and_now(in_memory).set_index(["from_state", "to_state"])
    assert found.customers.to_dict() == {("a", "b"): 1, ("b", "b"): 1, ("c", "c"): 1, ("a", "absent"): 1}
    in_memory.execute("delete from core.stage_states where as_of < ?", [AS_OFS[3]])
    assert charts.stages_then_and_now(in_memory).empty


# ------------------------------------------------------------------------------------- moves


def segment(recency: int, frequency: int, others: pd.DataFrame) -> str:
    """Return the segment by the definition of the scores: count the customers with a worse value."""
    r = min(5, 1 + 5 * int((others.recency_days > recency).sum()) // len(others))
    f = min(5, 1 + 5 * int((others.frequency < frequency).sum()) // len(others))
    return str(CELLS[(CELLS.r_score == r) & (CELLS.f_score == f)].segment.iloc[0])


def shares(
    then: tuple[int, int],
    known: tuple[int, int],
    now: tuple[int, int],
    bought: int,
    days: int,
    before: pd.DataFrame,
    after: pd.DataFrame,
) -> dict[str, float]:
    """Try all 24 orders of swapping; attribute each to the swap that gives the new segment."""

    def at(done: set[str]) -> str:
        recency, frequency = known if "late" in done else then
        recency += days if "time" in done else 0
        if "purchases" in done and bought:
            recency, frequency = now[0] if "time" in done else 0, frequency + bought
        return segment(recency, frequency, after if "cutoffs" in done else before)

    target, counts = at(set(CAUSES)), dict.fromkeys(CAUSES, 0)
    for order in permutations(CAUSES):
        last = next(n for n in range(4, 0, -1) if n == 1 or at(set(order[: n - 1])) != target)
        counts[order[last - 1]] += 1
    return {cause: count / 24 for cause, count in counts.items()}


def test_shares_of_a_move_match_all_orders_of_swapping_causes(
    in_memory: Connection, project: Project
) -> None:
    days = order_days(customers=150)
    events = events_of(days)
    before_as_of, as_of = datetime(2023, 10, 2), datetime(2023, 11, 6)
    # Orders of September that become known only after the first snapshot was taken.
    at = events.event_at
    late = (events.event_type == "purchase") & (at >= "2023-08-25") & (at < "2023-10-02")
    late &= events.customer_id.str[-1].isin(["1", "4", "7"])
    assert late.sum() > 3
    fill(in_memory, project, events[~late])
    snapshots(in_memory, project, ["segment_moves"], [before_as_of])
    fill(in_memory, project, events)
    built = snapshots(in_memory, project, ["segment_moves"], [as_of])
    scores = in_memory.frame(f"from {built['rfm_scores']}")
    before, after = (scores[scores.as_of == a].set_index("customer_id") for a in (before_as_of, as_of))
    found = in_memory.frame(f"from {built['segment_moves']}").set_index("customer_id")
    both = before.merge(after, left_index=True, right_index=True, suffixes=("_then", ""))
    assert sorted(found.index) == sorted(both[both.segment_then != both.segment].index)
    instants = pd.to_datetime(days.activity_date)
    for customer, row in zip(found.index, found.to_dict("records"), strict=True):
        mine = instants[days.customer_id == customer]
        old = mine[mine < before_as_of]
        known = ((before_as_of - old.max()).days, len(old))
        then, now = ((frame.recency_days[customer], frame.frequency[customer]) for frame in (before, after))
        bought = int(((mine >= before_as_of) & (mine < as_of)).sum())
        expected = shares(then, known, now, bought, 35, before, after)
        assert {c: row[f"{c}_share"] for c in CAUSES} == pytest.approx(expected), customer
        assert sum(expected.values()) == pytest.approx(1)
        assert row["order_days_between"] == bought
        assert expected[row["main_cause"]] == max(expected.values())
    assert all((found[f"{cause}_share"] > 0).any() for cause in CAUSES)


def test_moves_need_both_snapshots(in_memory: Connection, project: Project) -> None:
    fill(in_memory, project, events_of(order_days(customers=20)))
    built = snapshots(in_memory, project, ["segment_moves", "stage_transitions"], AS_OFS[:1])
    for model in ("segment_moves", "stage_transitions"):
        assert in_memory.scalar(f"select count(*) from {built[model]}") == 0
