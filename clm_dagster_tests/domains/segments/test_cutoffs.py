"""Cut-offs that hold between the dates of the training calendar, compared with rules in pandas."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import duckdb
import pandas as pd
import pytest

from clm_dagster.domains.segments.charts import turnover_chart, turnover_facts
from clm_dagster.platform.build_ledger.staleness import training_keys
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key, key_of_as_of
from clm_dagster.platform.resources import load_sql
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR, Settings
from clm_dagster_tests.domains.lifecycle.shop import events_of, fill, order_days, snapshots

EVERY_WEEKS = 5
AS_OFS = [datetime(2023, 10, 2) + timedelta(days=7 * week) for week in range(9)]
CELLS = pd.read_csv(PROJECT_DIR / "dbt_like_sql" / "seeds" / "rfm_segment_map.csv")
MODELS = ("segment_moves", "segment_turnover", "rfm_segments")


@pytest.fixture
def in_memory() -> Connection:
    return Connection(duckdb.connect())


@pytest.fixture
def quarterly(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(rfm_cutoffs="quarterly", train_every_weeks=EVERY_WEEKS, train_count=99)


def held_dates(settings: Settings) -> dict[datetime, datetime]:
    """Return the newest date of the training calendar at each as_of; the first stored one before the first date."""
    first = AS_OFS[0].date() - timedelta(weeks=2 * EVERY_WEEKS)
    keys = [(first + timedelta(weeks=n)).isoformat() for n in range(2 * EVERY_WEEKS + len(AS_OFS))]
    dates = [as_of_of_key(key, None) for key in training_keys(keys, settings)]
    return {at: max(max(d for d in dates if d <= at), AS_OFS[0]) for at in AS_OFS}


def scores_by(values: pd.DataFrame, shop: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of values among the customers of a shop, by counting the customers with a worse value."""
    columns = {"r_score": ("recency_days", -1), "f_score": ("frequency", 1), "m_score": ("monetary", 1)}
    return pd.DataFrame(
        {
            score: [
                1 + 5 * int((sign * shop[name] < sign * value).sum()) // len(shop) for value in values[name]
            ]
            for score, (name, sign) in columns.items()
        }
    ).clip(upper=5)


def test_scores_hold_from_one_date_of_the_training_calendar_to_the_next(
    in_memory: Connection, quarterly: Settings
) -> None:
    project = load_sql(quarterly)
    fill(in_memory, project, events_of(order_days(customers=80)))
    built = snapshots(in_memory, project, MODELS, [*AS_OFS[4:], *AS_OFS[3::-1]])
    exact = in_memory.frame(f"from {built['rfm_scores']} order by customer_id").astype({"monetary": float})
    shown = in_memory.frame(f"from {built['rfm_segments']} order by customer_id")
    held = held_dates(quarterly)
    assert len(set(held.values())) == 2
    by_as_of = {at: frame.reset_index(drop=True) for at, frame in exact.groupby("as_of")}
    for as_of in AS_OFS:
        mine = shown[shown.as_of == as_of].reset_index(drop=True)
        now, then = by_as_of[pd.Timestamp(as_of)], by_as_of[pd.Timestamp(held[as_of])]
        expected = scores_by(now, then)
        pd.testing.assert_frame_equal(mine[list(expected)], expected, check_dtype=False)
        segments = expected.merge(CELLS, how="left")["segment"].to_list()
        assert mine.segment.to_list() == mine.held_segment.to_list() == segments
        assert mine.weekly_segment.to_list() == now.segment.to_list()
    assert (shown.segment != shown.weekly_segment).any()


def test_only_new_cutoffs_move_customers_who_did_nothing(
    in_memory: Connection, project: Project, quarterly: Settings
) -> None:
    held = held_dates(quarterly)
    new = {now for before, now in pairwise(AS_OFS) if held[before] != held[now]}
    causes: dict[str, pd.Series] = {}
    for name, sql in (("weekly", project), ("quarterly", load_sql(quarterly))):
        fill(in_memory, sql, events_of(order_days(customers=400)))
        built = snapshots(in_memory, sql, MODELS, AS_OFS, schema=name)
        moves = in_memory.frame(f"from {built['segment_moves']}")
        causes[name] = moves.groupby("as_of")["cutoffs_share"].sum()
        shown = in_memory.frame(f"from {built['rfm_segments']}")
        changed = shown[shown.previous_segment.notna() & (shown.previous_segment != shown.segment)]
        assert sorted(zip(changed.as_of, changed.customer_id, strict=True)) == sorted(
            zip(moves.as_of, moves.customer_id, strict=True)
        )
        turnover = in_memory.frame(f"from {built['segment_turnover']} order by as_of")
        column = "weekly_moves" if name == "weekly" else "held_moves"
        assert turnover[column].to_list() == moves.groupby("as_of").size().to_list()
    moved = causes["quarterly"]
    assert set(moved[moved > 0].index) == {pd.Timestamp(at) for at in new}
    assert (causes["weekly"].drop(list(new)) > 0).any()
    assert set(turnover[turnover.is_new_held].as_of) == {pd.Timestamp(at) for at in new}


def test_the_calendar_is_that_of_the_trainings(
    in_memory: Connection, project: Project, settings: Settings
) -> None:
    """By default 13 weeks: the SQL and the planner agree on the date for every Monday of two years."""
    mondays = [datetime(2023, 10, 2) + timedelta(weeks=n) for n in range(104)]
    chosen = training_keys([key_of_as_of(at) for at in mondays], settings.replace(train_count=999))
    rows = [(at, "a", 400, 9, "loyal") for at in mondays]
    scores = pd.DataFrame(rows, columns=["as_of", "customer_id", "recency_days", "frequency", "segment"])
    scores = scores.assign(monetary=1, r_score=1, f_score=1, m_score=1)
    built = build(in_memory, project, ["rfm_cutoffs"], "calendar", {"rfm_scores": scores})
    found = in_memory.execute(f"select distinct held_as_of from {built['rfm_cutoffs']} order by 1")
    assert [at for (at,) in found] == sorted({mondays[0], *(as_of_of_key(key, None) for key in chosen)})


def test_the_turnover_is_shown(connection: Connection) -> None:
    assert turnover_facts(connection) == {}
    connection.execute(
        "create table marts.segment_turnover (as_of timestamp, weekly_turnover double, held_turnover double, "
        "held_as_of timestamp, is_new_held boolean)"
    )
    assert turnover_facts(connection) == {} and turnover_chart(connection) is None
    connection.execute(
        "insert into marts.segment_turnover values ('2025-04-07', 0.10, 0.12, '2025-02-10', false), "
        "('2025-04-14', 0.25, 0.11, '2025-02-10', false), ('2025-04-21', 0.11, 0.36, '2025-04-21', true)"
    )
    assert turnover_facts(connection) == {
        "turnover_weekly": "median 11.0%, largest 25.0% at 2025-04-14",
        "turnover_held": "median 12.0%, largest 36.0% at 2025-04-21",
        "cutoffs_hold_since": "2025-04-21",
    }
    picture = turnover_chart(connection)
    assert picture is not None and picture.startswith("![turnover of segments](data:image/png;base64,")
