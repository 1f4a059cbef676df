"""Recommendations end to end on a complete run: evaluations in MLflow, lists, rules, and shops with little data."""

from datetime import timedelta

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend.evaluate import RANKER, all_candidates
from clm_dagster.domains.recommend.names import LIST_METRICS
from clm_dagster.domains.recommend.ranking import default_recommenders
from clm_dagster.domains.recommend.shared_scores import share
from clm_dagster.platform.job_names import MODELS, SCORES
from clm_dagster.platform.resources import tracking_of
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.domains.recommend.recount import recount
from clm_dagster_tests.shops import quiet, write_shop
from clm_dagster_tests.trained_shop import Ran, at_home

pytestmark = pytest.mark.slow
HORIZON = 30


def check_results(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    """Return whether each check passed, and its message."""
    return {e.check_name: (e.passed, e.description or "") for e in result.get_asset_check_evaluations()}


def test_every_training_is_a_run_with_a_child_for_each_method(ran: Ran) -> None:
    rows = ran.query("select * from models.recommender_model order by as_of")
    assert len(rows) == 2 and rows.model_version.notna().all() and rows.horizon_days.eq(HORIZON).all()
    assert (pd.to_datetime(rows.tested_as_of) + pd.Timedelta(days=HORIZON) == rows.as_of).all()
    client, experiment = ran.mlflow()
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{rows.mlflow_run_id[1]}'")
    names = {RANKER} | {entry.name for entry in all_candidates(share(default_recommenders(pd.DataFrame())))}
    assert {run.info.run_name for run in children} == names
    stored = ran.query(
        "select * from marts.recommender_contest where as_of = (select max(as_of) from models.recommender_model) "
        "order by contestant, list, target"
    )
    assert set(stored.contestant) == names and len(stored) == 4 * len(names)
    for run in children:
        mine = stored[stored.contestant == run.info.run_name].set_index(["target", "list"])
        for (target, name), row in mine.iterrows():
            for metric in LIST_METRICS:
                assert run.data.metrics[f"{target}/{name}/{metric}"] == pytest.approx(row[metric])
                assert row[f"{metric}_low"] <= row[metric] <= row[f"{metric}_high"]
    best = stored[stored.is_ranker & (stored.target == "window")].set_index("list").ndcg
    assert best["next_best"] == rows.test_ndcg_next_best[1] and best["discover"] == rows.test_ndcg_discover[1]
    segments = ran.query("select * from marts.recommender_by_segment")
    assert set(segments.contestant) == names and segments.customers.gt(0).all()


def test_the_gate_decides_on_the_champion(ran: Ran) -> None:
    rows = ran.query("select * from models.recommender_model order by as_of")
    gains = ran.query(
        "select as_of, max(ndcg_over_baseline_low) > 0 as beats from marts.recommender_contest "
        "where is_ranker and target = 'window' group by 1 order by 1"
    )
    assert rows.accepted.to_list() == gains.beats.to_list()
    by_list = ran.query(
        "select as_of, list, ndcg_over_baseline_low > 0 as beats from marts.recommender_contest "
        "where is_ranker and target = 'window'"
    ).pivot(index="as_of", columns="list", values="beats")
    for name in ("next_best", "discover"):
        assert rows[f"accepted_{name}"].to_list() == by_list[name].to_list()
    accepted = rows[rows.accepted]
    champion = tracking_of(ran.settings).champion("models.recommender_model")
    assert champion == (accepted.model_version.iloc[-1] if len(accepted) else None)
    assert rows.said.str.contains("buy_again for next_best").all()


def test_the_model_takes_columns_by_name(ran: Ran) -> None:
    import mlflow

    ran.mlflow()
    version = ran.query(
        "select model_version from models.recommender_model order by as_of"
    ).model_version.iloc[-1]
    loaded = mlflow.pyfunc.load_model(f"models:/models.recommender_model/{version}")
    needed = loaded.metadata.get_input_schema().input_names()
    pairs = pd.DataFrame(np.ones((4, len(needed))), columns=needed)
    assert loaded.predict(pairs[needed[::-1]])["chance"].between(0, 1).all()
    with pytest.raises(mlflow.MlflowException, match=needed[0]):
        loaded.predict(pairs.drop(columns=needed[0]))


def test_every_customer_has_both_lists_with_products_on_sale(ran: Ran) -> None:
    lists = ran.query("select * from marts.recommendations order by as_of, customer_id, list, rank")
    assert lists.as_of.nunique() >= 10
    assert lists.drop(columns="model_as_of").notna().all(axis=None)
    known = (
        ran.query("select as_of, count(*) as n from core.customer_features group by 1").set_index("as_of").n
    )
    having = lists.groupby(["as_of", "list"]).customer_id.nunique().unstack()
    assert (having["next_best"] == known.reindex(having.index)).all()
    assert lists.groupby(["as_of", "customer_id", "list"])["rank"].max().le(10).all()
    as_of = lists.as_of.max()
    bought = ran.query(
        f"select customer_id, product_id, max(event_at) as last from raw.events where event_at < '{as_of}' "
        "group by 1, 2"
    )
    mine = lists[lists.as_of == as_of]
    new = mine[mine.list == "discover"].merge(bought, on=["customer_id", "product_id"])
    assert new.empty
    sold = bought.groupby("product_id")["last"].max()
    assert (sold.reindex(mine.product_id) >= as_of - pd.Timedelta(days=90)).all()
    again = mine[mine.reason.str.startswith("bought once, ")].merge(bought, on=["customer_id", "product_id"])
    days = (as_of - again["last"].dt.normalize()).dt.days
    one = np.where(days == 1, " day", " days")
    assert (again.reason == "bought once, " + days.astype(str) + one + " ago").all() and len(again)


def test_every_country_has_a_list_for_anonymous_visitors(ran: Ran) -> None:
    found = ran.query("select * from marts.popular_products order by as_of, country, rank")
    known = ran.query("select distinct as_of, country from core.customer_features where country is not null")
    for as_of, mine in found.groupby("as_of"):
        assert set(mine.country) == {"all", *known[known.as_of == as_of].country}
    assert found.notna().all(axis=None) and set(found.model_name) == {"cold_start"}
    first = found[found["rank"] == 1].set_index(["as_of", "country"]).score
    assert (first > 0).all() and found.as_of.nunique() >= 10


def test_the_recounted_metrics_match_the_evaluation(ran: Ran) -> None:
    from clm_dagster.domains.recommend.interactions import interactions
    from clm_dagster.domains.recommend.metrics import list_metrics, padded, window_truth

    as_of = ran.query(
        "select max(as_of) as at from marts.recommendations where as_of <= timestamp '2023-11-20' - interval 30 day"
    )["at"][0]
    found = recount(ran.settings.warehouse_path, as_of.date(), HORIZON)
    lines = ran.query(
        "select customer_id, product_id, event_date as day, units as quantity, order_id from staging.stg_order_lines"
    )
    later = interactions(lines, as_of.date() + timedelta(days=HORIZON))
    past = later.before(as_of.date())
    lists = ran.query(
        f"select * from marts.recommendations where as_of = '{as_of}' order by customer_id, rank"
    )
    for name, kind in (("next_best", "all"), ("discover", "new")):
        truth = window_truth(later, past, HORIZON, kind)
        mine = lists[lists.list == name]
        place = pd.Index(truth.rows).get_indexer(pd.Index(past.rows_of(mine.customer_id.to_numpy(object))))
        products = past.columns_of(mine.product_id.to_numpy(object))
        measured = list_metrics(truth, padded(place[place >= 0], products[place >= 0], len(truth.rows)))
        assert {m: found[name][m] for m in LIST_METRICS} == pytest.approx(measured.mean().to_dict())
        assert found[name]["customers"] == len(truth.rows)


def test_retraining_and_rescoring_give_the_same_rows(ran: Ran) -> None:
    columns = "* exclude (mlflow_run_id, model_version, model_uri, said)"
    before = ran.query(f"select {columns} from models.recommender_model order by as_of")
    lists = ran.query("select * exclude (model_version) from marts.recommendations order by all")
    champion = tracking_of(ran.settings).champion("models.recommender_model")
    key = str((before.as_of.min() - pd.Timedelta(days=7)).date())
    assert ran.materialize(MODELS, key, "models.recommender_model").success
    after = ran.query(f"select {columns} from models.recommender_model order by as_of")
    pd.testing.assert_frame_equal(before, after)
    assert tracking_of(ran.settings).champion("models.recommender_model") == champion
    scored = str((lists.as_of.max() - pd.Timedelta(days=7)).date())
    assert ran.materialize(SCORES, scored, "marts.recommendations").success
    again = ran.query("select * exclude (model_version) from marts.recommendations order by all")
    pd.testing.assert_frame_equal(again, lists)


def test_a_young_shop_reports_what_is_missing_and_uses_the_naive_baseline(ran: Ran) -> None:
    key = "2023-02-20"
    result = ran.materialize(MODELS, key, "models.recommender_model")
    assert result.success
    passed, text = check_results(result)["contest_was_held"]
    assert not passed and "has no training instant" in text
    scored = ran.materialize(SCORES, key, "marts.recommendations")
    assert scored.success
    found = check_results(scored)
    assert not found["a_champion_was_there_by_then"][0]
    text = found["a_champion_was_there_by_then"][1]
    assert "next_best: No model of models.recommender_model for next_best has a horizon of 30 days" in text
    assert (
        "The naive baseline popularity_baseline serves instead." in text and "has no training instant" in text
    )
    assert found["every_customer_has_lists"][0] and found["no_discontinued_product"][0]
    rows = ran.query(
        "select distinct model_name, model_version from marts.recommendations where as_of = '2023-02-27'"
    )
    assert set(rows.model_name) == {"buy_again_baseline", "popularity_baseline"}
    assert set(rows.model_version) == {"none"}
    for relation in ("models.recommender_model", "marts.recommendations"):
        ran.execute(f"delete from {relation} where as_of = '2023-02-27'")
        ran.execute(f"delete from raw.builds where relation = '{relation}' and partition_key = '{key}'")


def test_every_scored_snapshot_has_similar_products_and_pairs(ran: Ran) -> None:
    scored = set(ran.query("select distinct as_of from marts.recommendations").as_of)
    similar = ran.query("select * from marts.similar_products")
    assert set(similar.as_of) == scored
    assert (similar.product_id != similar.similar_product_id).all() and similar["rank"].le(10).all()
    # Orders of this shop have one product each: there are no pairs and no rules, and the checks warn.
    assert ran.query("select 1 from marts.product_affinity").empty
    assert ran.query("select 1 from marts.basket_rules").empty


# ----------------------------------------------------------------------------- a shop with baskets


@pytest.fixture(scope="module")
def grocer(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Four months of 1,200 baskets; buyers of bread and butter mostly buy jam as well. No model scores."""
    rng = np.random.default_rng(2)
    orders = 1200
    bought = {name: rng.random(orders) < 0.3 for name in ("bread", "butter", "milk", "soap")}
    bought["jam"] = np.where(
        bought["bread"] & bought["butter"], rng.random(orders) < 0.9, rng.random(orders) < 0.1
    )
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 120 * 24, orders)), unit="h")
    product, order = zip(
        *[(name, o) for name, has in bought.items() for o in np.flatnonzero(has)], strict=True
    )
    events = pd.DataFrame({"product_id": product, "order": order})
    events = events.assign(
        event_id=[f"e{i}" for i in range(len(events))],
        event_at=at[events.order],
        event_type="purchase",
        customer_id="c" + (events.order % 150).astype(str),
        order_id="o" + events.order.astype(str),
        quantity=1,
        unit_price=2,
        currency="EUR",
    )
    root = tmp_path_factory.mktemp("grocer")
    settings = write_shop(root, events.drop(columns="order"), end_date="2024-04-29")
    with at_home(settings):
        run_shop(settings, quiet)
    return Ran(settings)


def test_the_planted_rule_is_found_and_confirmed_later(grocer: Ran) -> None:
    for asset in ("marts.basket_rules", "marts.product_affinity", "marts.similar_products"):
        assert grocer.materialize(SCORES, "2024-04-22", asset).success
    rules = grocer.query("select * from marts.basket_rules order by lift desc")
    baskets = grocer.query(
        "select order_id, product_id, event_at from raw.events where event_at < '2024-04-29'"
    )
    planted = rules[
        (rules.consequent == "jam") & rules.antecedent.map(lambda a: list(a) == ["bread", "butter"])
    ]
    rule = planted.iloc[0]
    assert rule.confidence == pytest.approx(0.9, abs=0.06) and rule.q_value < 1e-9 and rule.later_held
    assert rule.later_confidence == pytest.approx(0.9, abs=0.08) and rule["items"] == 3
    assert rules.confidence.ge(0.2).all() and rules["items"].between(2, 4).all()
    assert not (rules.consequent == "soap").any() and rules.q_value.lt(0.05).all()
    window = baskets[(baskets.event_at >= "2023-04-30") & (baskets.event_at < "2024-02-29")]
    assert rules.min_support.to_numpy() == pytest.approx(5 / window.order_id.nunique())
    pairs = grocer.query("select * from marts.product_affinity")
    assert set(pairs.all_baskets) == {baskets.order_id.nunique()}
    both = baskets.merge(baskets, on="order_id").groupby(["product_id_x", "product_id_y"]).order_id.nunique()
    counts = pairs.set_index(["product_id", "other_product_id"]).baskets
    assert counts.to_dict() == both.loc[counts.index].to_dict()
    # Bread and butter go with jam, and with nothing else.
    assert set(counts.index) == {(a, b) for x in ("bread", "butter") for a, b in ((x, "jam"), ("jam", x))}
    assert pairs.q_value.lt(0.05).all() and pairs.lift.gt(1).all()


# ---------------------------------------------------------------------------------- the real shop
