"""Turnover of the top decile: the table of all snapshots, and the same counts in the check of the scores."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn.checks import check_turnover
from clm_dagster.domains.churn.queries import read_previous_top
from clm_dagster.domains.churn.turnover import Turnover, measure_turnover
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection

WEEKS = [datetime(2024, 3, 4) + timedelta(weeks=week) for week in range(4)]


def random_scores(seed: int = 3, customers: int = 100) -> pd.DataFrame:
    """Scores that drift from week to week; a few customers are not scored in a week, and many scores are tied."""
    rng = np.random.default_rng(seed)
    score = rng.random(customers)
    rows = []
    for number, as_of in enumerate(WEEKS):
        score = np.clip(score + rng.normal(0, 0.12, customers), 0, 1)
        frame = pd.DataFrame(
            {
                "as_of": as_of,
                "customer_id": [f"c{i:02d}" for i in range(customers)],
                "churn_probability": score.round(1),
                "model_name": "models.churn_model",
                "model_version": str(1 + number // 2),
            }
        )
        rows.append(frame[rng.random(customers) > 0.1])
    return pd.concat(rows, ignore_index=True)


def events() -> pd.DataFrame:
    """A day of activity of a fifth of the customers in each week, and of everyone before the first."""
    rng = np.random.default_rng(4)
    rows = [(f"c{i:02d}", WEEKS[0] - timedelta(days=1)) for i in range(100)]
    for week in WEEKS[:-1]:
        rows += [(f"c{i:02d}", week + timedelta(days=int(rng.integers(0, 7)))) for i in rng.choice(100, 40)]
    return pd.DataFrame(rows, columns=["customer_id", "activity_date"]).drop_duplicates()


def identities() -> pd.DataFrame:
    """One person of two ids from the second week on; one of the ids is never scored."""
    return pd.DataFrame(
        [(as_of, "guest", "c05") for as_of in WEEKS[1:]], columns=["as_of", "customer_id", "person_id"]
    )


def top_of(scores: pd.DataFrame) -> list[str]:
    ordered = sorted(
        zip(scores["churn_probability"], scores["customer_id"], strict=True),
        key=lambda row: (-row[0], row[1]),
    )
    return [customer for _, customer in ordered[: max(len(ordered) // 10, 1)]]


@pytest.fixture
def shop(connection: Connection, project: Project) -> dict[str, pd.DataFrame]:
    """Write scores, activity and identities into the warehouse."""
    daily = pd.concat([events(), pd.DataFrame({"customer_id": ["guest"], "activity_date": [WEEKS[1]]})])
    given = {"scores": random_scores(), "daily": daily, "identities": identities()}
    for schema in ("marts", "core"):
        connection.execute(f"create schema if not exists {schema}")
    connection.load_frame("marts.churn_scores", given["scores"])
    connection.load_frame("core.customer_daily", daily)
    connection.execute("alter table core.customer_daily alter activity_date type date")
    connection.load_frame("core.customer_identities", given["identities"])
    return given


def test_the_table_and_the_check_count_the_same_customers(
    shop: dict[str, pd.DataFrame], connection: Connection, project: Project
) -> None:
    names = {
        "marts.churn_scores": "marts.churn_scores",
        "customer_daily": "core.customer_daily",
        "customer_identities": "core.customer_identities",
    }
    built = build(connection, project, ["churn_turnover"], "built", names)
    rows = connection.frame(f"from {built['churn_turnover']} order by as_of").to_dict("records")
    assert [row["as_of"] for row in rows] == WEEKS[1:]
    assert [row["is_other_model"] for row in rows] == [False, True, False]
    for row, before, after in zip(rows, WEEKS, WEEKS[1:], strict=False):
        scores = dict(iter(shop["scores"].groupby("as_of")))
        top, now = top_of(scores[before]), top_of(scores[after])
        day = pd.to_datetime(shop["daily"]["activity_date"])
        active = set(shop["daily"]["customer_id"][(day >= before) & (day < after)])
        if "guest" in active:
            active.add("c05")
        left = [customer for customer in top if customer not in now]
        unscored = [customer for customer in left if customer not in set(scores[after]["customer_id"])]
        quiet = [customer for customer in left if customer not in active and customer not in unscored]
        assert row["customers"] == len(scores[after])
        assert row["top_decile"] == len(top)
        assert row["left_decile"] == len(left)
        assert row["left_unscored"] == len(unscored)
        assert row["left_without_event"] == len(quiet)
        assert row["left_with_event"] == len(left) - len(unscored) - len(quiet)
        assert row["turnover"] == pytest.approx(len(quiet) / len(top))
        assert row["total_turnover"] == pytest.approx(len(left) / len(top))
        found = measure_turnover(read_previous_top(connection, after), scores[after])
        assert found == Turnover(before.date(), len(top), len(left), len(quiet))
    assert sum(row["left_with_event"] for row in rows) and sum(row["left_without_event"] for row in rows)


def test_the_first_snapshot_has_no_turnover(shop: dict[str, pd.DataFrame], connection: Connection) -> None:
    previous = read_previous_top(connection, WEEKS[0])
    assert measure_turnover(previous, shop["scores"]) is None
    (result,) = check_turnover("2024-03-04", None, 0.3)
    assert result.passed and "no earlier scores" in str(result.description)


def test_the_check_warns_from_its_threshold_on() -> None:
    turnover = Turnover(WEEKS[0].date(), top_decile=10, left=5, without_event=3)
    assert [check_turnover("2024-03-11", turnover, limit)[0].passed for limit in (0.3, 0.31)] == [False, True]
    assert "5 left it, 3 (30.0%) without an event" in str(
        check_turnover("2024-03-11", turnover, 0.3)[0].description
    )
