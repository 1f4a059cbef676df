"""Pairs of products in the same basket, counted and measured by the database at one as_of.

Belongs here: the query of marts.product_affinity. Does not: longer itemsets, p-values (`statistics.association`).

The query is here, not a model in dbt_like_sql, because of its cost. Over two years of weekly snapshots, a model would
self-join the baskets a hundred times at the first load. A view over all snapshots would not fit into memory. A Python
table is computed only for the snapshots that are scored.

Products that are too rare for any pair are dropped before the self-join, and ids are replaced by numbers. So memory
grows with the square of the number of frequent products, not with the number of order lines.
"""

from datetime import date

import pandas as pd

from clm_dagster.platform.warehouse import Connection

# Minimum number of baskets of a pair, however small the shop: fewer are likely to be chance.
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
        customer_id,
        product_id
    from {lines}
    where
        line_type = 'purchase'
        and order_id is not null
        and product_id is not null
        and event_at >= ?
        and event_at < ?

),

-- A basket is an order: its id and customer.
orders as (

    select
        order_id,
        customer_id,
        row_number() over () as number
    from (select distinct order_id, customer_id from lines)

),

shop as (

    select
        count(*) as all_baskets,
        greatest(?, ceil(? * count(*) - 1e-9)) as min_baskets
    from orders

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

frequent as (

    select
        orders.number as basket,
        products.number as product
    from lines
    inner join products on lines.product_id = products.product_id
    inner join orders
        on lines.order_id = orders.order_id and lines.customer_id is not distinct from orders.customer_id

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
    -- The conviction of a rule that never fails would be infinite.
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
    """Return the pairs in at least `min_support` of the baskets of the days [start, end), each in both directions.

    Baskets of guests count. A basket counts a product once. support P(AB), confidence P(B|A), lift, leverage and
    conviction describe the rule "customers who buy product_id also buy other_product_id"; conviction is null where
    the rule never fails. lines: a relation with the columns of staging.stg_order_lines. Sorted by both ids.
    """
    query = _QUERY.format(lines=lines)
    return connection.frame(query, [start, end, min_baskets, min_support])
