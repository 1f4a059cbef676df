"""Pairs of products that stand in the same baskets: counted and measured by the database, at one as_of.

Belongs here: the query of marts.product_affinity. Does not: longer itemsets, p-values (`rules`).

The query stands here and not among the models of dbt_like_sql because of what it costs: over two years of weekly
snapshots a model would join baskets with themselves a hundred times at the first load, and as a view over all
snapshots it would not fit into memory. As a table of scores it is computed for the snapshots that are scored.

Products that are too rare for any pair are dropped before baskets are joined with themselves, and ids are numbered, so
that memory goes by the frequent products squared, not by the lines.
"""

from datetime import date

import pandas as pd

from clm_dagster.platform.warehouse import Connection

# A pair in fewer baskets than this may be anybody's whim, however small the shop.
MIN_BASKETS = 5

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
)

_QUERY = """
with lines as (

    select distinct
        order_id,
        product_id
    from {lines}
    where
        line_type = 'purchase'
        and order_id is not null
        and product_id is not null
        and event_at >= ?
        and event_at < ?

),

shop as (

    select
        count(distinct order_id) as all_baskets,
        greatest(?, ceil(? * count(distinct order_id) - 1e-9)) as min_baskets
    from lines

),

products as (

    select
        product_id,
        count(*) as baskets,
        row_number() over (order by product_id) as number
    from lines
    group by product_id
    having count(*) >= (select min_baskets from shop)

),

orders as (

    select
        order_id,
        row_number() over () as number
    from (select distinct order_id from lines)

),

frequent as (

    select
        orders.number as basket,
        products.number as product
    from lines
    inner join products on lines.product_id = products.product_id
    inner join orders on lines.order_id = orders.order_id

),

counted as (

    select
        one.product,
        other.product as other_product,
        count(*) as baskets
    from frequent as one
    inner join frequent as other on one.basket = other.basket and one.product < other.product
    group by one.product, other.product
    having count(*) >= (select min_baskets from shop)

),

both_ways as (

    select product, other_product, baskets from counted
    union all
    select other_product, product, baskets from counted

),

measured as (

    select
        one.product_id,
        other.product_id as other_product_id,
        both_ways.baskets,
        one.baskets as product_baskets,
        other.baskets as other_baskets,
        shop.all_baskets,
        both_ways.baskets::double / shop.all_baskets as support,
        both_ways.baskets::double / one.baskets as confidence,
        one.baskets::double / shop.all_baskets as product_share,
        other.baskets::double / shop.all_baskets as other_share
    from both_ways
    inner join products as one on both_ways.product = one.number
    inner join products as other on both_ways.other_product = other.number
    cross join shop

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
    -- A rule that never fails would be infinite.
    (1 - other_share) / nullif(1 - confidence, 0) as conviction
from measured
order by product_id, other_product_id
"""


def product_affinity(
    connection: Connection,
    start: date,
    end: date,
    min_support: float,
    min_baskets: int = MIN_BASKETS,
    lines: str = "staging.stg_order_lines",
) -> pd.DataFrame:
    """Pairs in at least `min_support` of the baskets of the days [start, end), each in both directions.

    Guests' baskets count. support P(AB), confidence P(B|A), lift, leverage and conviction are of the rule "who buys
    product_id also buys other_product_id"; conviction is missing where that never fails. lines: a relation with the
    columns of staging.stg_order_lines. Sorted by both ids; a basket counts a product once.
    """
    query = _QUERY.format(lines=lines)
    return connection.frame(query, [start, end, min_baskets, min_support])
