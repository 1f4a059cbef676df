"""The evaluation at one as_of: its candidates, its data, and its errors."""

from collections.abc import Callable
from datetime import date, timedelta

import pandas as pd
import pytest

from clm_dagster.domains.recommend import evaluate
from clm_dagster.domains.recommend.candidates import BuyAgain, Ease, Popularity, candidate_lists
from clm_dagster.domains.recommend.evaluate import RANKER, EvaluationResult, evaluate_candidates
from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster.domains.recommend.list_evaluation import evaluate_lists
from clm_dagster.domains.recommend.markdown_tables import candidates_table, top_ranks
from clm_dagster.domains.recommend.metrics import window_truth
from clm_dagster.domains.recommend.mlflow_plots import evaluation_figure, method_figure, segment_figure
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.table_settings import RankerSettings
from clm_dagster.platform.charts import make_figure
from clm_dagster.statistics.evaluation import EvaluationError
from clm_dagster_tests.domains.recommend.shop import AS_OF

SMALL = RankerSettings(horizon_days=40, spacing_days=40, snapshots=2, iterations=15, year_ago=False)


@pytest.fixture(scope="module")
def result(past: Interactions, names: pd.DataFrame) -> EvaluationResult:
    segments = pd.Series({f"c{c:03d}": "odd" if c % 2 else "even" for c in range(60)})
    return evaluate_candidates(past, names, SMALL, segments)


def test_every_method_is_evaluated_on_both_lists(result: EvaluationResult) -> None:
    assert result.evaluated_at == AS_OF - timedelta(days=40)
    assert (
        set(result.candidates)
        == set(result.evaluation.table["method"])
        > {RANKER, "buy_again", "popularity", "ease"}
    )
    assert not result.left_out
    assert set(result.evaluation.by_segment["segment"]) == {"odd", "even"}
    assert all(day + timedelta(days=40) <= result.evaluated_at for day in result.evaluated_ranker_days)
    assert result.ranker.days[-1] == result.evaluated_at
    assert result.candidates["hybrid"].parameters["share_item"] == 0.7
    assert list(result.example.columns) == result.ranker.columns and len(result.example)


def test_the_evaluated_ranker_is_trained_before_the_window(
    result: EvaluationResult, lines: pd.DataFrame, past: Interactions, names: pd.DataFrame
) -> None:
    late = lines["day"] >= pd.Timestamp(result.evaluated_at)
    alone = Ranker(SMALL).fit(interactions(lines[~late], result.evaluated_at), names)
    assert alone.days == result.evaluated_ranker_days
    early = past.before(result.evaluated_at)
    rows = window_truth(past, early, 40).rows
    ndcg = {"two_stages": alone.lists(early, rows)}
    for rule in (BuyAgain(), Popularity()):
        ndcg[rule.name] = candidate_lists(rule.fit(early), early, rows)
    evaluation = evaluate_lists(past, early, ndcg, 40).table.set_index(["method", "list", "target"])["ndcg"]
    shown = result.evaluation.table.set_index(["method", "list", "target"])["ndcg"]
    pd.testing.assert_series_equal(evaluation, shown.reindex(evaluation.index))
    again = evaluate_candidates(
        interactions(lines.sample(frac=1, random_state=4), AS_OF), names.sample(frac=1, random_state=4), SMALL
    )
    columns = ["method", "list", "target", "ndcg", "recall", "hit"]
    pd.testing.assert_frame_equal(again.evaluation.table[columns], result.evaluation.table[columns])


def test_purchases_from_as_of_on_do_not_count(
    result: EvaluationResult, lines: pd.DataFrame, names: pd.DataFrame
) -> None:
    changed = lines.assign(product_id=lines["product_id"].where(lines["day"] < pd.Timestamp(AS_OF), "future"))
    again = evaluate_candidates(interactions(changed, AS_OF), names, SMALL)
    assert again.evaluation.table["ndcg"].equals(result.evaluation.table["ndcg"])
    pd.testing.assert_frame_equal(again.example, result.example)


def test_a_very_large_shop_is_evaluated_on_a_sample_of_customers(
    result: EvaluationResult, past: Interactions, names: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "MAX_EVALUATED", 31)
    some = evaluate_candidates(past, names, SMALL)
    assert some.customers == 31 < result.customers
    table = some.evaluation.table
    assert (table[(table["list"] == "next_best") & (table["target"] == "window")]["customers"] == 31).all()
    assert some.ranker.days == result.ranker.days


def test_a_method_that_cannot_be_fitted_is_left_out_with_the_reason(
    past: Interactions, names: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "all_candidates", lambda first: [Popularity(), BuyAgain(), Ease(limit=3)])
    result = evaluate_candidates(past, names, SMALL)
    assert "Use item_neighbours" in result.left_out["ease"]
    assert set(result.candidates) == {RANKER, "popularity", "buy_again"}


@pytest.mark.parametrize(
    ("shop", "as_of", "message"),
    [
        (
            lambda lines: lines[lines["day"] < "2024-01-01"],
            AS_OF,
            "cannot be evaluated on the 40 days from 2024-04-22",
        ),
        (lambda lines: lines, date(2023, 7, 1), "recommendations cannot be evaluated"),
        (lambda lines: lines.assign(customer_id="c001"), AS_OF, "1 known customers bought in the 40 days"),
        (lambda lines: lines.assign(product_id="p001"), AS_OF, "cannot be evaluated"),
    ],
)
def test_too_little_data_is_an_error_with_the_reason(
    shop: Callable[[pd.DataFrame], pd.DataFrame],
    as_of: date,
    message: str,
    lines: pd.DataFrame,
    names: pd.DataFrame,
) -> None:
    with pytest.raises(EvaluationError, match=message):
        evaluate_candidates(interactions(shop(lines), as_of), names, SMALL)


def test_lists_are_shown_with_names() -> None:
    lists = pd.DataFrame(
        {"country": "FR", "rank": [2, 1, 3], "product_id": ["a", "b", "c"], "reason": ["x", "y | z", "w"]}
    )
    assert top_ranks(lists, pd.Series({"a": "A mug"}), ["country"], 2).splitlines() == [
        "| country | rank | product | reason |",
        "|---|---|---|---|",
        "| FR | 1 | b | y &#124; z |",
        "| FR | 2 | A mug | x |",
    ]


def test_figures_can_be_drawn(result: EvaluationResult) -> None:
    for page in (evaluation_figure(result.evaluation.table), segment_figure(result.evaluation.by_segment)):
        assert make_figure(page, 9, 4).axes
    assert make_figure(method_figure(result.evaluation.table, "ease"), 9, 3.2, fitted=False).axes


def test_the_table_lists_every_candidate_best_first(result: EvaluationResult) -> None:
    lines = candidates_table(result).splitlines()[2:]
    names = [line.split(" | ")[0].strip("| *") for line in lines]
    ndcg = [result.measure("next_best", name)["ndcg"] for name in names]
    assert set(names) == set(result.candidates) and ndcg == sorted(ndcg, reverse=True)
