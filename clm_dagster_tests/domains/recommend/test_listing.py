"""The lists of all customers: by the ranker, by the naive baseline, and for customers without a purchase."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend import checks, listing
from clm_dagster.domains.recommend.candidates import LISTS
from clm_dagster.domains.recommend.checks import ListFaults
from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster.domains.recommend.list_faults import count_faults
from clm_dagster.domains.recommend.listing import COLD, all_customer_lists
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.registered import REGISTERED
from clm_dagster.domains.recommend.served import example, pack, unpack
from clm_dagster.domains.recommend.table_settings import ListSettings, RankerSettings
from clm_dagster.domains.recommend.visitors import ANYWHERE, country_lists
from clm_dagster_tests.domains.recommend.shop import AS_OF

SMALL = RankerSettings(horizon_days=30, spacing_days=30, snapshots=2, iterations=15, year_ago=False)
EIGHT, TEN = ListSettings(8), ListSettings(10)


@pytest.fixture(scope="module")
def ranker(past: Interactions, names: pd.DataFrame) -> Ranker:
    return Ranker(SMALL).fit(past, names)


@pytest.fixture(scope="module")
def people(past: Interactions) -> pd.DataFrame:
    """All buyers, and three without a purchase: in Germany, without a country, and in a country without buyers."""
    known = pd.DataFrame({"customer_id": past.customers, "segment": "loyal"})
    known["country"] = np.where(np.arange(len(known)) % 2, "DE", "FR")
    cold = pd.DataFrame({"customer_id": ["x1", "x2", "x3"], "country": ["DE", None, "MT"], "segment": None})
    return pd.concat([known, cold], ignore_index=True)


@pytest.fixture(scope="module")
def lists(past: Interactions, people: pd.DataFrame, names: pd.DataFrame, ranker: Ranker) -> pd.DataFrame:
    return everything(past, people, names, EIGHT, ranker)


def everything(
    past: Interactions,
    people: pd.DataFrame,
    names: pd.DataFrame,
    settings: ListSettings = TEN,
    ranker: Ranker | dict[str, Ranker] | None = None,
    threads: int = 1,
) -> pd.DataFrame:
    rankers = dict.fromkeys(LISTS, ranker) if isinstance(ranker, Ranker) else ranker
    parts = [*all_customer_lists(past, people, names, settings, rankers, threads)]
    frame = pd.concat([pd.DataFrame(columns=listing.COLUMNS), *parts], ignore_index=True)
    # All rows of a customer are in one part.
    assert sum(part.customer_id.nunique() for part in parts) == frame.customer_id.nunique()
    return frame.sort_values(["customer_id", "list", "rank"], ignore_index=True)


def passed(
    lists: pd.DataFrame, past: Interactions, people: pd.DataFrame, active_days: int = 90
) -> dict[str, bool]:
    odd = lists.customer_id.str[-1].isin(list("13579")).to_numpy(bool)
    active, known = past.sold_within(active_days), pd.Index(past.customers).isin(people["customer_id"])
    faults = sum(
        (count_faults(part, past, active, known) for part in (lists[odd], lists[~odd])), ListFaults()
    )
    found = checks.check_lists("a day", faults, len(people), active_days)
    return {str(result.check_name): result.passed for result in found}


def test_every_customer_has_both_lists_and_the_checks_pass(
    lists: pd.DataFrame, past: Interactions, people: pd.DataFrame
) -> None:
    assert set(lists.customer_id) == set(people.customer_id)
    assert all(passed(lists, past, people).values())
    assert lists["rank"].max() == 8
    assert set(lists.method) == {"two_stages", COLD}
    assert (lists.customer_id.str.startswith("x") == (lists.method == COLD)).all()
    assert lists.equals(lists.sort_values(["customer_id", "list", "rank"]))


def test_the_checks_find_faults(lists: pd.DataFrame, past: Interactions, people: pd.DataFrame) -> None:
    one = lists.customer_id == "c001"
    own = past.products[past.latest()[[past.rows_of(["c001"])[0]]].indices[0]]
    wrong = lists[~(one & (lists.list == "next_best"))].copy()
    wrong.loc[one & (lists.list == "discover"), "product_id"] = own
    wrong.loc[wrong.index[-1], "product_id"] = "unheard of"
    found = passed(wrong, past, people)
    assert found == dict.fromkeys(found, False) and len(found) == 4
    # A buyer outside the snapshot has lists and does not count as a known customer with lists.
    assert all(passed(lists, past, people.iloc[1:]).values())
    lacking = lists[(lists.customer_id != "c002") | (lists.list == "discover")]
    assert not passed(lacking, past, people[people.customer_id != "c001"])["every_customer_has_lists"]
    assert all(passed(lists.iloc[:0], past, people.iloc[:0]).values())


def test_a_stored_ranker_gives_the_same_lists(
    lists: pd.DataFrame, past: Interactions, people: pd.DataFrame, names: pd.DataFrame, ranker: Ranker
) -> None:
    import skops.io

    stored = skops.io.loads(skops.io.dumps(pack(ranker)), trusted=list(REGISTERED.trusted))
    again = unpack(stored)
    again.products = names
    assert again.settings == ranker.settings and again.days == ranker.days
    pd.testing.assert_frame_equal(everything(past, people, names, EIGHT, again), lists)
    pairs = again.pair_features(past).block(np.arange(3))
    some = example(pairs.frame()[ranker.columns], 50)
    chances = stored.predict(some[some.columns[::-1]])["chance"]
    np.testing.assert_allclose(chances, ranker._scores(pairs)[:50], atol=1e-6)


def test_row_order_and_block_size_do_not_matter(
    lines: pd.DataFrame,
    lists: pd.DataFrame,
    people: pd.DataFrame,
    names: pd.DataFrame,
    ranker: Ranker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "CUSTOMERS_PER_PART", 2)
    past = interactions(lines.sample(frac=1, random_state=3), AS_OF)
    again = everything(
        past,
        people.sample(frac=1, random_state=3),
        names.sample(frac=1, random_state=3),
        EIGHT,
        ranker,
        threads=3,
    )
    pd.testing.assert_frame_equal(again, lists)


def test_without_a_model_each_list_is_made_by_its_naive_baseline(
    lines: pd.DataFrame, past: Interactions, people: pd.DataFrame, names: pd.DataFrame
) -> None:
    lists = everything(past, people, names)
    buyers = lists[lists.method != COLD]
    assert buyers.groupby("list").method.unique().map(list).to_dict() == {
        "discover": ["popularity"],
        "next_best": ["buy_again"],
    }
    first = buyers[(buyers.list == "next_best") & (buyers["rank"] == 1)]
    assert first.reason.str.match(r"bought (once|\d+ times)").all()
    discover = buyers[buyers.list == "discover"]
    assert not discover.reason.str.startswith(("bought once", "bought 2 times")).any()
    # Popularity: customers and days with a purchase of the product in the last 28 days, by pandas.
    known = lines[lines["day"] < pd.Timestamp(AS_OF)]
    recent = known[known["day"] >= pd.Timestamp(AS_OF) - pd.Timedelta(days=28)]
    counts = recent.drop_duplicates(["customer_id", "product_id", "day"]).product_id.value_counts()
    bought = set(zip(known.customer_id, known.product_id, strict=True))
    for customer in ("c000", "c017"):
        mine = discover[discover.customer_id == customer]
        new = counts[[product for product in counts.index if (customer, product) not in bought]]
        assert mine.score.to_list() == new.sort_values(ascending=False).head(10).to_list()
        assert (mine.set_index("product_id").score == new[mine.product_id]).all()


def test_a_refused_list_is_made_by_its_baseline_and_the_other_by_the_model(
    past: Interactions, people: pd.DataFrame, names: pd.DataFrame, ranker: Ranker, lists: pd.DataFrame
) -> None:
    mixed = everything(past, people, names, EIGHT, {"discover": ranker})
    naive = everything(past, people, names, EIGHT)
    for name, expected in (("discover", lists), ("next_best", naive)):
        pd.testing.assert_frame_equal(
            mixed[mixed.list == name].reset_index(drop=True),
            expected[expected.list == name].reset_index(drop=True),
        )


def test_the_reason_names_customers_without_a_purchase(lists: pd.DataFrame) -> None:
    cold = lists[lists.method == COLD].set_index("customer_id")
    assert cold.reason.str.startswith("no purchase of this customer yet: popular").all()
    assert cold.reason[["x1"]].str.contains("popular in DE; bought by").all()
    assert not cold.reason[["x2"]].str.contains(" in DE| in MT").any()
    both = cold.loc["x1"].groupby("list").product_id.agg(list)
    assert both["next_best"] == both["discover"]


def test_anonymous_visitors_get_popular_products_of_their_country(
    lines: pd.DataFrame, past: Interactions, people: pd.DataFrame
) -> None:
    found = country_lists(past, people, 5, 90)
    assert found.groupby("country")["rank"].agg(list).to_dict() == {
        country: [1, 2, 3, 4, 5] for country in ("DE", "FR", "MT", ANYWHERE)
    }
    recent = lines[
        (lines["day"] < pd.Timestamp(AS_OF)) & (lines["day"] >= pd.Timestamp(AS_OF) - pd.Timedelta(days=28))
    ]
    recent = recent.drop_duplicates(["customer_id", "product_id", "day"])
    shop = recent.product_id.value_counts(normalize=True)
    everywhere = found[found.country == ANYWHERE].set_index("product_id").score
    np.testing.assert_allclose(everywhere, shop.reindex(everywhere.index), rtol=1e-6)
    assert everywhere.iloc[0] == pytest.approx(shop.max())
    # No customer in Malta has bought, so the list is that of the whole shop.
    malta = found[found.country == "MT"]
    assert malta.product_id.tolist() == everywhere.index.tolist()
    assert malta.reason.str.startswith("popular; ").all()
    german = recent[recent.customer_id.isin(people[people.country == "DE"].customer_id)]
    share = (german.product_id.value_counts() + 200 * shop) / (len(german) + 200)
    mine = found[found.country == "DE"].set_index("product_id").score
    np.testing.assert_allclose(mine, share.reindex(mine.index), rtol=1e-5)
    assert (
        found.reason.str.contains("popular").all()
        and found[found.country == "DE"].reason.str.contains("in DE").all()
    )
    for country in (None, ANYWHERE):
        alone = country_lists(past, people.assign(country=country), 5, 90)
        assert alone.country.tolist() == [ANYWHERE] * 5


@pytest.mark.parametrize("what", ["one product", "one customer", "no names", "one line"])
def test_shops_with_little_data_get_the_lists_that_are_possible(
    what: str, lines: pd.DataFrame, names: pd.DataFrame
) -> None:
    poor = {
        "one product": lines.assign(product_id="p001"),
        "one customer": lines.assign(customer_id="c001"),
        "no names": lines,
        "one line": lines[lines["day"] < pd.Timestamp(AS_OF)].sort_values("day").tail(1),
    }[what]
    past = interactions(poor, AS_OF)
    people = pd.DataFrame({"customer_id": [*past.customers, "x1"], "country": None, "segment": None})
    display_names = names.assign(name=None) if what == "no names" else names
    lists = everything(past, people, display_names)
    assert set(lists[lists.list == "next_best"].customer_id) == set(people.customer_id)
    assert lists.reason.notna().all() and lists.score.gt(0).all()
    if what == "one product":
        assert set(lists[lists.list == "discover"].customer_id) == {"x1"}


def test_a_shop_without_recent_sales_has_no_lists(lines: pd.DataFrame, names: pd.DataFrame) -> None:
    past = interactions(lines, date(2026, 1, 1))
    people = pd.DataFrame({"customer_id": past.customers, "country": None, "segment": None})
    assert everything(past, people, names).empty
    assert country_lists(past, people, 5, 90).empty


def test_discontinued_products_follow_the_current_setting(
    past: Interactions, people: pd.DataFrame, names: pd.DataFrame, ranker: Ranker
) -> None:
    again = unpack(pack(ranker))
    again.products = names
    again.settings = replace(again.settings, active_days=5)
    lists = everything(past, people, names, ListSettings(8, 5), again)
    assert passed(lists, past, people, 5)["no_discontinued_product"]
