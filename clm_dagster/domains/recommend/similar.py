"""Similar products for every product: the rows of `marts.similar_products`.

Belongs here: what the same customers buy, and what reads alike where too few have bought it. Does not: lists for
customers (`ranking`), SQL (`queries`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.candidates import product_words
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.queries import read_past, read_products
from clm_dagster.domains.recommend.similarity import Weights, cells, neighbours, weighted
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work

BUYERS = 20.0


@dataclass(frozen=True)
class SimilarSettings:
    """What a user may choose of similar products: days without a sale until one is on no list; places in a list."""

    active_days: int = 90
    count: int = 10


@dataclass(frozen=True)
class CatalogueInputs:
    """Purchases (None where there is none), and products' names."""

    past: Interactions | None
    products: pd.DataFrame


def read_catalogue(reading: Reading[SimilarSettings]) -> CatalogueInputs:
    """Read who bought what, and what products are called."""
    return CatalogueInputs(
        read_past(reading.connection, reading.as_of),
        read_products(reading.connection, reading.project, reading.as_of),
    )


def find_similar(work: Work[SimilarSettings], inputs: CatalogueInputs) -> TableOutput:
    """Return the products most like each product."""
    if inputs.past is None:
        return TableOutput(pd.DataFrame(columns=work.columns))
    settings = work.settings
    rows = similar_products(inputs.past, inputs.products, settings.count, active_days=settings.active_days)
    return TableOutput(rows[work.columns], {"products": int(rows["product_id"].nunique())})


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
    """Return the `count` products most like each: product_id, rank, similar_product_id, score, by_customers, by_name.

    products: product_id, name, category, the last two optional. by_customers: cosine of who buys, by_name: of what
    it is called; score is their mean, customers weighing b / (b + BUYERS) where the rarer of both has b buyers.
    A product without a sale in `active_days` has a row's list but stands on none. The best `pool` of either kind
    are compared. Ties go by id.
    """
    customer_similarity = neighbours(weighted(past.decayed(half_life), weights).T.tocsr(), pool)
    name_similarity = neighbours(product_words(products, past.products), pool)
    pairs = (customer_similarity + name_similarity).tocoo()
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
            "by_customers": cells(customer_similarity, left, right),
            "by_name": cells(name_similarity, left, right),
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
