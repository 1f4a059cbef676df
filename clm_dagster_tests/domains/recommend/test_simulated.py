"""Recommendations of the simulated shop, compared with the planted tastes of its customers."""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend.candidates import Popularity, candidate_lists
from clm_dagster.domains.recommend.interactions import interactions
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.table_settings import RankerSettings
from clm_dagster_tests.simulate.shop import Shop, make

pytestmark = pytest.mark.slow
DAYS = 420


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = make(tmp_path_factory.mktemp("tastes"), customers=6_000, days=DAYS, products=240, seed=12)
    yield made
    made.close()


def test_lists_match_the_planted_tastes(shop: Shop) -> None:
    lines = shop.query(
        "select customer_id, product_id, event_at::date as day, sum(quantity)::double as quantity, order_id "
        "from events where event_type = 'purchase' and customer_id is not null group by all"
    )
    start = pd.Timestamp(shop.parameters.start)
    as_of: date = (start + timedelta(days=DAYS)).date()
    products = shop.table("products")[["product_id", "name", "category"]].drop_duplicates("product_id")
    past = interactions(lines, as_of)
    orders = lines.groupby("customer_id").order_id.nunique()
    rows = past.rows_of(orders[orders >= 3].index.to_numpy(dtype=object))
    ranker = Ranker(RankerSettings(horizon_days=60, members=2)).fit(past, products)
    lists = ranker.lists(past, rows)
    popular = candidate_lists(Popularity().fit(past), past, rows)
    truth = shop.truth("customers").set_index("customer_id")
    category = products.set_index("product_id").category

    def taste(frame: pd.DataFrame, name: str) -> float:
        """Return the mean planted share of the categories on a list, over all places."""
        mine = frame[frame["list"] == name]
        wanted = "taste_" + category.reindex(past.products[mine["product"].to_numpy(int)]).to_numpy(
            dtype=object
        )
        people = truth.reindex(past.customers[mine["customer"].to_numpy(int)])
        columns = people.columns.get_indexer(pd.Index(wanted))
        assert (columns >= 0).all()
        return float(people.to_numpy()[np.arange(len(people)), columns].astype(float).mean())

    for name in ("next_best", "discover"):
        assert taste(lists, name) > 1.5 * taste(popular, name), name
