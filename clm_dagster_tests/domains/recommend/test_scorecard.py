"""The scorecard of recommendations, against the lists and metrics of the Python evaluation."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend.candidates import BuyAgain, Popularity, candidate_lists
from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster.domains.recommend.list_evaluation import KINDS
from clm_dagster.domains.recommend.metrics import list_metrics, padded, window_truth
from clm_dagster.domains.recommend.names import BASELINES
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster_tests.scorecards import AS_OF, LATER, TRAINED, graded, identities

CARD, DAYS = "recommendation_scorecard", 60
METRICS = ("ndcg", "recall", "hit")
COLUMNS = ["customer_id", "product_id", "event_date", "order_id", "line_type"]
TESTED = {f"test_{metric}_{name}": 0.25 for metric in METRICS for name in KINDS}


def purchases(seed: int = 4, customers: int = 40, products: int = 45) -> pd.DataFrame:
    """Purchase lines over a year around AS_OF: popular and rare products, discontinued ones, guests, new customers."""
    rng = np.random.default_rng(seed)
    count = 1600
    popularity = 1 / np.arange(1, products + 1)
    lines = pd.DataFrame(
        {
            "customer_id": [f"c{number:02d}" for number in rng.integers(0, customers, count)],
            "product_id": [
                f"p{number:02d}" for number in rng.choice(products, count, p=popularity / popularity.sum())
            ],
            "event_date": [AS_OF.date() + timedelta(days=int(day)) for day in rng.integers(-280, 80, count)],
        }
    )
    lines["order_id"] = lines["customer_id"] + lines["event_date"].astype(str)
    early = lines["event_date"] < date(2023, 10, 1)
    lines.loc[early & (lines["product_id"] < "p05"), "product_id"] += " discontinued"
    is_new = lines["customer_id"].isin(["c00", "c01"])
    lines = lines[~is_new | (lines["event_date"] >= AS_OF.date())]
    lines.loc[(lines["customer_id"] == "c02") & (lines["event_date"] >= date(2024, 4, 1)), "customer_id"] = (
        "late id"
    )
    lines = lines.assign(line_type="purchase").astype({"customer_id": object})
    guests = lines.tail(30).assign(customer_id=None)
    returns = lines.tail(30).assign(line_type="return", product_id="p44")
    return pd.concat([lines, guests, returns], ignore_index=True)[COLUMNS]


def lists(lines: pd.DataFrame) -> pd.DataFrame:
    """Random lists of some known customers, some of them short; the others have none."""
    rng = np.random.default_rng(9)
    known = sorted(lines[lines["event_date"] < AS_OF.date()]["customer_id"].dropna().unique())
    names = [f"p{number:02d}" for number in range(45)]
    rows = [
        (customer, name, rank + 1, product)
        for customer in known[5:]
        for name in KINDS
        for rank, product in enumerate(rng.permutation(names)[: rng.integers(3, 14)])
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "list", "rank", "product_id"])
    cold = pd.DataFrame([("c00", "next_best", 1, "p01")], columns=frame.columns)
    own: dict[str, Any] = {
        "model_name": "models.recommender_model",
        "model_version": "3",
        "model_as_of": TRAINED,
    }
    none: dict[str, Any] = {"model_name": "cold_start", "model_version": "none", "model_as_of": pd.NaT}
    return pd.concat([frame.assign(**own), cold.assign(**none)]).assign(as_of=AS_OF, horizon_days=DAYS)


def shop(lines: pd.DataFrame) -> dict[str, pd.DataFrame]:
    model = {"as_of": TRAINED, "model_name": "models.recommender_model", "model_version": "3"}
    made = lists(lines)
    snapshots = [AS_OF, datetime(2024, 4, 29), LATER]
    return {
        "marts.recommendations": pd.concat([made, made.assign(as_of=LATER)], ignore_index=True),
        "stg_order_lines": lines,
        "customer_features": pd.DataFrame({"as_of": snapshots, "customer_id": "c09", "order_days": 1}),
        "customer_identities": identities((datetime(2024, 4, 29), "late id", "c02", date(2024, 4, 1))),
        "models.recommender_model": pd.DataFrame([model | TESTED]),
    }


def until(lines: pd.DataFrame, day: date) -> Interactions:
    bought = lines[(lines["line_type"] == "purchase") & lines["customer_id"].notna()]
    persons = bought.replace({"customer_id": {"late id": "c02"}})
    return interactions(persons.rename(columns={"event_date": "day"}).assign(quantity=1), day)


def test_value_and_baseline_are_those_of_the_evaluation(connection: Connection, project: Project) -> None:
    lines = purchases()
    card = graded(connection, project, CARD, shop(lines))
    later = until(lines, AS_OF.date() + timedelta(days=DAYS))
    past = later.before(AS_OF.date())
    given = lists(lines)
    given = given[given["model_name"] != "cold_start"]
    for name, kind in KINDS.items():
        truth = window_truth(later, past, DAYS, kind)
        own = given[given["list"] == name].assign(
            customer=lambda f: past.rows_of(f["customer_id"].to_numpy(object)),
            product=lambda f: past.columns_of(f["product_id"].to_numpy(object)),
        )
        naive = {"buy_again": BuyAgain, "popularity": Popularity}[BASELINES[name]]()
        baseline = candidate_lists(naive.fit(past), past, truth.rows, names=(name,))
        for column, frame in (("value", own), ("baseline", baseline)):
            place = pd.Index(truth.rows).get_indexer(pd.Index(frame["customer"]))
            on = place >= 0
            ordered = frame[on].assign(place=place[on]).sort_values(["place", "rank"])
            array = padded(
                ordered["place"].to_numpy(), ordered["product"].to_numpy(np.int64), len(truth.rows)
            )
            expected = list_metrics(truth, array).mean()
            found = {metric: card[column][f"{metric}_{name}"] for metric in METRICS}
            assert found == pytest.approx(expected.to_dict()), (name, column)
            assert 0 < found["ndcg"] < 1
        assert card["labelled"][f"ndcg_{name}"] == len(truth.rows)
    assert set(card["customers"]) == {given["customer_id"].nunique()}
    assert set(card["promised"]) == {0.25} and set(card["weeks_since_training"]) == {9}


def test_a_horizon_that_is_not_loaded_has_no_value(connection: Connection, project: Project) -> None:
    card = graded(connection, project, CARD, shop(purchases()), LATER)
    assert len(card) == 6 and card[["value", "baseline"]].isna().all(axis=None)
    assert set(card["labelled"]) == {0} and card["promised"].notna().all()


def test_lists_of_another_horizon_are_not_graded(connection: Connection, project: Project) -> None:
    given = shop(purchases())
    given["marts.recommendations"] = given["marts.recommendations"].assign(horizon_days=30)
    assert graded(connection, project, CARD, given)["value"].isna().all()


def test_nobody_buys_in_the_horizon(connection: Connection, project: Project) -> None:
    lines = purchases()
    past = lines[lines["event_date"] < AS_OF.date()]
    card = graded(connection, project, CARD, shop(past))
    assert set(card["labelled"]) == {0} and card["value"].isna().all()


def test_lists_of_the_baselines_have_their_own_grade(connection: Connection, project: Project) -> None:
    lines = purchases()
    past = until(lines, AS_OF.date())
    rows = np.arange(past.shape[0], dtype=np.int64)
    made = pd.concat(
        [
            candidate_lists(BuyAgain().fit(past), past, rows, names=("next_best",)),
            candidate_lists(Popularity().fit(past), past, rows, names=("discover",)),
        ]
    )
    frame = pd.DataFrame(
        {
            "customer_id": past.customers[made["customer"].to_numpy(np.int64)],
            "product_id": past.products[made["product"].to_numpy(np.int64)],
            "list": made["list"].to_numpy(),
            "rank": made["rank"].to_numpy(),
        }
    )
    none: dict[str, Any] = {"model_name": "a_baseline", "model_version": "none", "model_as_of": pd.NaT}
    frame = frame.assign(as_of=AS_OF, horizon_days=DAYS, **none)
    card = graded(connection, project, CARD, shop(lines) | {"marts.recommendations": frame})
    np.testing.assert_allclose(card["value"], card["baseline"])
    assert card["promised"].isna().all() and card["weeks_since_training"].isna().all()
