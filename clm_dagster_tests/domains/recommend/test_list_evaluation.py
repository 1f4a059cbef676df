"""The evaluation of lists: perfect lists win, invalid ones are errors, and the table matches one by hand."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend.candidates import BuyAgain, Popularity, candidate_lists
from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster.domains.recommend.list_evaluation import ListEvaluation, evaluate_lists
from clm_dagster.domains.recommend.metrics import NoPurchases, window_truth
from clm_dagster.statistics.evaluation import EvaluationError
from clm_dagster_tests.domains.recommend.shop import AS_OF


def perfect(later: Interactions, past: Interactions) -> pd.DataFrame:
    parts = []
    for name, kind in (("next_best", "all"), ("discover", "new")):
        truth = window_truth(later, past, 60, kind)
        place, product = truth.bought.nonzero()
        rank = np.arange(len(place)) - np.searchsorted(place, place) + 1
        parts.append(
            pd.DataFrame({"list": name, "customer": truth.rows[place], "rank": rank, "product": product})
        )
    return pd.concat(parts)


@pytest.fixture(scope="module")
def lists(later: Interactions, past: Interactions) -> dict[str, pd.DataFrame]:
    everyone = np.arange(past.shape[0])
    made = {r.name: candidate_lists(r.fit(past), past, everyone) for r in (BuyAgain(), Popularity())}
    nothing = made["buy_again"].iloc[:0]
    return made | {"oracle": perfect(later, past), "silent": nothing}


@pytest.fixture(scope="module")
def evaluation(later: Interactions, past: Interactions, lists: dict[str, pd.DataFrame]) -> ListEvaluation:
    segments = pd.Series({c: "odd" if int(c[1:]) % 2 else "even" for c in past.customers if c != "c001"})
    return evaluate_lists(later, past, lists, 60, segments)


def test_the_table_matches_a_computation_with_sets(
    lines: pd.DataFrame, past: Interactions, lists: dict[str, pd.DataFrame], evaluation: ListEvaluation
) -> None:
    late = lines[
        (lines["day"] >= pd.Timestamp(AS_OF)) & (lines["day"] < pd.Timestamp(AS_OF) + pd.Timedelta(days=60))
    ]
    bought = late[late["customer_id"].isin(past.customers)].groupby("customer_id")["product_id"].agg(set)
    mine = lists["popularity"]
    named = (
        mine[mine["list"] == "next_best"]
        .assign(product=lambda frame: past.products[frame["product"]])
        .groupby("customer")["product"]
        .agg(set)
    )
    named.index = past.customers[named.index]
    hit = np.mean([bool(bought[c] & named[c]) for c in bought.index])
    recall = np.mean([len(bought[c] & named[c]) / len(bought[c]) for c in bought.index])
    row = evaluation.table.set_index(["method", "list", "target"]).T[("popularity", "next_best", "window")]
    assert row["customers"] == len(bought)
    assert row["hit"] == pytest.approx(hit)
    assert row["recall"] == pytest.approx(recall)
    assert row["recall_low"] < row["recall"] < row["recall_high"]
    assert row["coverage"] == pytest.approx(10 / past.sold_within(90).sum())
    assert len(evaluation.table) == 4 * 2 * 2


def test_perfect_lists_score_one_and_empty_lists_zero(evaluation: ListEvaluation) -> None:
    table = evaluation.table.set_index(["method", "list", "target"])
    for name in ("next_best", "discover"):
        assert table.loc[("oracle", name, "window"), "ndcg"] == pytest.approx(1)
        assert table.loc[("silent", name, "window"), "hit"] == 0
    assert evaluation.verdict("oracle").accepted
    refused = evaluation.verdict("silent")
    assert not refused.accepted
    assert "does not clearly beat buy_again for next_best" in str(refused)
    assert not evaluation.verdict("oracle", is_newest=False).accepted
    # A baseline does not beat itself.
    assert not evaluation.verdict("buy_again").accepted


def test_segments_add_up_to_the_table(evaluation: ListEvaluation) -> None:
    part = evaluation.by_segment
    assert set(part["segment"]) <= {"odd", "even", "unknown"}
    mine = part[(part["method"] == "buy_again") & (part["list"] == "next_best")]
    row = evaluation.table.set_index(["method", "list", "target"]).T[("buy_again", "next_best", "window")]
    assert mine["customers"].sum() == row["customers"]
    assert np.average(mine["ndcg"], weights=mine["customers"]) == pytest.approx(row["ndcg"])


def test_lists_of_candidates(past: Interactions, lists: dict[str, pd.DataFrame]) -> None:
    frame = lists["buy_again"]
    own = past.latest().toarray() > 0
    discover = frame[frame["list"] == "discover"]
    assert len(discover)
    assert not own[discover["customer"], discover["product"]].any()
    assert (frame.groupby(["list", "customer"])["score"].diff().dropna() <= 0).all()
    assert candidate_lists(BuyAgain().fit(past), past, np.zeros(0, dtype=np.int64)).empty


def test_invalid_lists_are_errors(
    lines: pd.DataFrame, later: Interactions, past: Interactions, lists: dict[str, pd.DataFrame]
) -> None:
    with pytest.raises(EvaluationError, match="lists of popularity are missing"):
        evaluate_lists(later, past, {"buy_again": lists["buy_again"]}, 60)
    with pytest.raises(NoPurchases, match="no known customer"):
        nothing = lines[lines["day"] < pd.Timestamp(AS_OF)]
        evaluate_lists(interactions(nothing, AS_OF + timedelta(days=60)), past, lists, 60)
