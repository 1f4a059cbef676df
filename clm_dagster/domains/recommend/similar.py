"""Similar products for every product: what the same customers buy, and what reads alike where too few have.

Belongs here: the table of similar products. Does not: lists for customers (`ranking`).
"""

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.candidates import product_words
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.similarity import Weights, cells, neighbours, weighted

BUYERS = 20.0


def similar_products(
    past: Interactions,
    products: pd.DataFrame,
    count: int = 10,
    *,
    active_days: int = 90,
    half_life: float | None = 240.0,
    weights: Weights = "tfidf",
    pool: int = 200,
) -> pd.DataFrame:
    """The `count` products most like each: product_id, rank, similar_product_id, score, by_customers, by_name.

    products: product_id, name, category, the last two optional. by_customers: cosine of who buys, by_name: of what
    it is called; score is their mean, customers weighing b / (b + BUYERS) where the rarer of both has b buyers.
    A product without a sale in `active_days` has a row's list but stands on none. The best `pool` of either kind
    are compared. Ties go by id.
    """
    crowd = neighbours(weighted(past.decayed(half_life), weights).T.tocsr(), pool)
    words = neighbours(product_words(products, past.products), pool)
    pairs = (crowd + words).tocoo()
    left, right = pairs.coords
    allowed = past.sold_within(active_days)[right]
    left, right = left[allowed], right[allowed]
    buyers = np.bincount(past.product[past.pair_starts], minlength=past.shape[1])
    fewer = np.minimum(buyers[left], buyers[right])
    trust = fewer / (fewer + BUYERS)
    frame = pd.DataFrame(
        {
            "product": left,
            "similar": right,
            "by_customers": cells(crowd, left, right),
            "by_name": cells(words, left, right),
        }
    )
    frame["score"] = trust * frame["by_customers"] + (1 - trust) * frame["by_name"]
    frame = frame[frame["score"] > 0].sort_values(
        ["product", "score", "similar"], ascending=[True, False, True], ignore_index=True
    )
    frame["rank"] = frame.groupby("product").cumcount() + 1
    frame = frame[frame["rank"] <= count].reset_index(drop=True)
    frame["product_id"] = past.products[frame["product"]]
    frame["similar_product_id"] = past.products[frame["similar"]]
    return frame[["product_id", "rank", "similar_product_id", "score", "by_customers", "by_name"]]
