"""Similar products for every product: the rows of `marts.similar_products`.

Belongs here: similarity by customers, and by name where there are few buyers. Does not: lists for customers
(`ranking`), SQL (`queries`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.recommend.candidates import product_words
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.queries import read_past, read_products
from clm_dagster.domains.recommend.similarity import Weights, best_first, cells, neighbours, weighted
from clm_dagster.domains.recommend.table_settings import SimilarSettings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work

BUYERS = 20.0


@dataclass(frozen=True)
class CatalogueInputs:
    """Purchases (None where there are none), and the names of products."""

    past: Interactions | None
    products: pd.DataFrame


def read_catalogue(reading: Reading[SimilarSettings]) -> CatalogueInputs:
    """Read the purchases and the names of products."""
    return CatalogueInputs(
        read_past(reading.connection, reading.as_of),
        read_products(reading.connection, reading.project, reading.as_of),
    )


def find_similar(work: Work[SimilarSettings], inputs: CatalogueInputs) -> TableOutput:
    """Return the products that are most similar to each product."""
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
    """Return the `count` most similar products of each product.

    Columns: product_id, rank, similar_product_id, score, by_customers, by_name. products: product_id, name, category;
    the last two are optional. by_customers: cosine of the buyers. by_name: cosine of the words. score: their weighted
    mean, where by_customers has the weight b / (b + BUYERS) and b is the smaller number of buyers of the two. A product
    without a sale in `active_days` has a list but is on none. The best `pool` products by either cosine are compared.
    Ties are ordered by id.
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
    frame = frame[_may_be_listed(frame, count)].sort_values(
        ["product", "score", "similar"], ascending=[True, False, True], ignore_index=True
    )
    frame["rank"] = frame.groupby("product").cumcount() + 1
    frame = frame[frame["rank"] <= count].reset_index(drop=True)
    frame["product_id"] = past.products[frame["product"]]
    frame["similar_product_id"] = past.products[frame["similar"]]
    return frame[["product_id", "rank", "similar_product_id", "score", "by_customers", "by_name"]]


def _may_be_listed(frame: pd.DataFrame, count: int) -> NDArray[np.bool_]:
    """Return which pairs have a score above zero and not below the `count` best of their product, up to rounding."""
    product, score = frame["product"].to_numpy(np.int64), frame["score"].to_numpy(np.float32)
    best, _, value = best_first(product, frame["similar"].to_numpy(np.int64), score, count)
    least = np.zeros(product.max(initial=0) + 1, dtype=np.float32)
    least[best] = value  # the last of the best is the lowest
    may: NDArray[np.bool_] = (frame["score"].to_numpy() > 0) & (score >= least[product])
    return may
