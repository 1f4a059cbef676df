"""Pairs of products in the same basket at one as_of, with measures of each pair.

Belongs here: the queries of marts.product_affinity, and the choice of its minimum number of baskets. Does not: longer
itemsets (`statistics.association`), p-values (`statistics.independence`).

The query is here, not a model in dbt_like_sql, because of its cost. Over two years of weekly snapshots, a model would
self-join the baskets a hundred times at the first load. A view over all snapshots would not fit into memory. A Python
table is computed only for the snapshots that are scored.

Products that are too rare for any pair are dropped before pairs are counted, and ids are replaced by numbers. The cost
is known before: two histograms, of the products by their baskets and of the baskets by such products, give the pairs in
all baskets and the most distinct pairs that they can be. Pairs are counted as a product of sparse matrices, which takes
a tenth of the time of a self-join in the database.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils.sparsefuncs import sparse_matmul_to_dense

from clm_dagster.domains.recommend.similarity import blocks
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.association import Threshold
from clm_dagster.statistics.independence import MIN_BASKETS, adjusted, chance_of_common, smallest_count

# Bounds of counting: distinct pairs, and pairs in all baskets. Bound of the result: pairs, each two rows of the table.
MAX_CANDIDATES, MAX_JOINED, MAX_PAIRS = 2_000_000, 200_000_000, 50_000

COLUMNS = (
    "product_id",
    "other_product_id",
    "baskets",
    "product_baskets",
    "other_baskets",
    "all_baskets",
    "support",
    "confidence",
    "lift",
    "leverage",
    "conviction",
    "p_value",
    "q_value",
)


@dataclass(frozen=True)
class Pairs:
    """Pairs in enough baskets, significant or not, in both directions.

    threshold: what is enough; None without baskets, or where nothing can be significant. tests: number of pairs whose
    products are each in enough baskets, the family of the q-values. raised: the threshold was raised to stay within
    the bounds.
    """

    rows: pd.DataFrame
    threshold: Threshold | None
    tests: int
    raised: bool


@dataclass(frozen=True)
class PairLimits:
    """Bounds of counting and of its result: distinct pairs, pairs in all baskets, pairs kept."""

    candidates: int = MAX_CANDIDATES
    joined: int = MAX_JOINED
    pairs: int = MAX_PAIRS


_LINES = """
create or replace temporary table affinity_lines as
with lines as (

    select distinct
        order_id,
        customer_id,
        product_id
    from {lines}
    where
        line_type = 'purchase'
        and order_id is not null
        and product_id is not null
        and event_at >= ?
        and event_at < ?

)

-- A basket is an order: its id and customer.
select
    dense_rank() over (order by order_id, customer_id) as basket,
    product_id
from lines
"""

_PRODUCTS = """
create or replace temporary table affinity_products as
select
    product_id,
    count(*) as baskets,
    row_number() over (order by product_id) as number
from affinity_lines
group by product_id
"""

_FREQUENCIES = "select baskets, count(*) as products from affinity_products group by baskets order by baskets"

# Level 0 holds the products in `count` baskets and more, level 1 those in twice as many, and so on. Two products of a
# basket are joined up to the lower of their levels.
_JOINED = """
with levels as (

    select
        lines.basket,
        floor(log2(products.baskets / ?) + 1e-9)::integer as level,
        count(*) as products
    from affinity_lines as lines
    inner join affinity_products as products on lines.product_id = products.product_id
    where products.baskets >= ?
    group by all

),

above as (

    select
        level,
        products,
        sum(products) over (partition by basket order by level desc) - products as others
    from levels

)

select
    level,
    sum(products * (products - 1) / 2 + products * others)::bigint as joined
from above
group by level
order by level
"""

_FREQUENT = """
select
    lines.basket::integer as basket,
    products.number::integer as product
from affinity_lines as lines
inner join affinity_products as products on lines.product_id = products.product_id
where products.baskets >= ?
"""

_MEASURED = """
with both_ways as (

    select product, other_product, baskets from affinity_pairs where baskets >= $count
    union all
    select other_product, product, baskets from affinity_pairs where baskets >= $count

),

measured as (

    select
        one.product_id,
        other.product_id as other_product_id,
        both_ways.baskets,
        one.baskets as product_baskets,
        other.baskets as other_baskets,
        $total::bigint as all_baskets,
        both_ways.baskets::double / $total as support,
        both_ways.baskets::double / one.baskets as confidence,
        one.baskets::double / $total as product_share,
        other.baskets::double / $total as other_share
    from both_ways
    inner join affinity_products as one on both_ways.product = one.number
    inner join affinity_products as other on both_ways.other_product = other.number

)

select
    product_id,
    other_product_id,
    baskets,
    product_baskets,
    other_baskets,
    all_baskets,
    support,
    confidence,
    confidence / other_share as lift,
    support - product_share * other_share as leverage,
    -- The conviction of a rule that never fails would be infinite.
    (1 - other_share) / nullif(1 - confidence, 0) as conviction
from measured
order by product_id, other_product_id
"""

_TABLES = ("affinity_lines", "affinity_products", "affinity_pairs")


def product_affinity(
    connection: Connection,
    start: date,
    end: date,
    min_support: float | None,
    min_baskets: int = MIN_BASKETS,
    lines: str = "staging.stg_order_lines",
    limits: PairLimits | None = None,
) -> Pairs:
    """Return the pairs in enough baskets of the days [start, end), each in both directions.

    min_support: minimum share of baskets, at least `min_baskets` of them. None: the smallest number, at least
    `min_baskets`, in which a pair can be significant. In both cases the number is doubled while the pairs exceed the
    limits.

    Baskets of guests count. A basket counts a product once. support P(AB), confidence P(B|A), lift, leverage and
    conviction describe the rule "customers who buy product_id also buy other_product_id"; conviction is null where
    the rule never fails. p_value: of at least as many common baskets by chance (one-sided exact test of Fisher).
    q_value: over all pairs of products that are each in enough baskets. lines: a relation with the columns of
    staging.stg_order_lines. Sorted by both ids.
    """
    limits = limits or PairLimits()
    connection.execute(_LINES.format(lines=lines), [start, end])
    connection.execute(_PRODUCTS)
    try:
        return _pairs(connection, min_support, min_baskets, limits)
    finally:
        for table in _TABLES:
            connection.execute(f"drop table if exists {table}")


def _pairs(connection: Connection, min_support: float | None, min_baskets: int, limits: PairLimits) -> Pairs:
    total = int(connection.scalar("select count(distinct basket) from affinity_lines"))
    histogram = connection.frame(_FREQUENCIES)

    def tests(count: int) -> int:
        frequent = int(histogram.loc[histogram["baskets"] >= count, "products"].sum())
        return frequent * (frequent - 1) // 2

    chosen = _first_threshold(total, min_support, min_baskets, tests)
    if chosen is None:
        return Pairs(pd.DataFrame(columns=list(COLUMNS)), None, 0, False)
    affordable = _affordable(connection, chosen, tests, limits)
    pairs = common_baskets(connection.frame(_FREQUENT, [affordable.baskets]), affordable.baskets)
    connection.load_frame("affinity_pairs", pairs, temporary=True)
    threshold = _kept(connection, affordable, limits.pairs)
    rows = connection.frame(_MEASURED, {"count": threshold.baskets, "total": total})
    tested = tests(threshold.baskets)
    columns = (rows[name] for name in ("baskets", "product_baskets", "other_baskets", "all_baskets"))
    rows["p_value"] = chance_of_common(*columns)
    rows["q_value"] = adjusted(rows["p_value"], 2 * tested)  # both directions of a pair have the same p-value
    return Pairs(rows, threshold, tested, threshold.baskets > chosen.baskets)


def common_baskets(lines: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the pairs of products in at least `count` baskets: product < other_product, and baskets with both.

    lines: basket and product, as numbers; each product once in a basket.
    """
    numbers, column = np.unique(lines["product"].to_numpy(), return_inverse=True)
    # float32 counts exactly up to 16 million baskets.
    ones = np.ones(len(lines), dtype=np.float32)
    basket = lines["basket"].to_numpy()
    shape = (int(basket.max(initial=0)) + 1, len(numbers))
    by_basket = sparse.csr_array((ones, (basket, column)), shape=shape)
    by_product = by_basket.T.tocsr()
    parts = [np.zeros((3, 0), dtype=np.int64)]
    for block in blocks(len(numbers), len(numbers)):
        common = sparse_matmul_to_dense(by_product[block], by_basket)
        one, other = np.divmod(np.flatnonzero(common >= count), len(numbers))
        both = common[one, other].astype(np.int64)
        one = block[one]
        once = one < other
        parts.append(np.stack([numbers[one[once]], numbers[other[once]], both[once]]))
    return pd.DataFrame(np.concatenate(parts, axis=1).T, columns=["product", "other_product", "baskets"])


def _first_threshold(
    total: int, min_support: float | None, min_baskets: int, tests: Callable[[int], int]
) -> Threshold | None:
    """Return the threshold before any bound, None if nothing can be found."""
    if not total:
        return None
    if min_support is not None:
        count = max(min_baskets, int(np.ceil(min_support * total - 1e-9)))
        return Threshold(count, total, f"min_support is {min_support:.4%}")
    smallest = smallest_count(total, tests, min_baskets)
    if smallest is None:
        return None
    if smallest == min_baskets:
        return Threshold(smallest, total, f"{smallest} baskets are the smallest number that is searched")
    reason = f"in fewer of {total} baskets, no pair can be significant among {tests(smallest - 1):,}"
    return Threshold(smallest, total, reason)


def _affordable(
    connection: Connection, chosen: Threshold, tests: Callable[[int], int], limits: PairLimits
) -> Threshold:
    """Return the threshold, doubled until counting stays within its limits."""
    count, found = chosen.baskets, chosen
    levels = connection.frame(_JOINED, [float(count), count]).set_index("level")["joined"]
    level = 0
    while True:
        joined = int(levels[levels.index >= level].sum())
        candidates = min(tests(count), joined)
        if candidates <= limits.candidates and joined <= limits.joined:
            return found
        reason = f"products in at least {count} baskets make {joined:,} rows of up to {candidates:,} pairs"
        count, level = 2 * count, level + 1
        found = Threshold(count, chosen.total, reason)


def _kept(connection: Connection, threshold: Threshold, most: int) -> Threshold:
    """Return the threshold, doubled until at most `most` pairs are in as many baskets."""
    while True:
        query = "select count(*) from affinity_pairs where baskets >= ?"
        pairs = int(connection.scalar(query, [threshold.baskets]))
        if pairs <= most:
            return threshold
        reason = f"{pairs:,} pairs are in at least {threshold.baskets} baskets, the limit is {most:,}"
        threshold = Threshold(2 * threshold.baskets, threshold.total, reason)
