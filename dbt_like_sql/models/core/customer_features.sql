{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Features of every customer from data strictly before as_of. A known customer without an order has zero orders
-- and no recency. Customers who are one person at as_of (core.customer_identities) are one customer, under the
-- person's id.

{% set sums = {
    'orders': 'bigint',
    'evening_orders': 'bigint',
    'units': 'decimal(18, 4)',
    'gross_revenue': 'decimal(18, 4)',
    'discounts': 'decimal(18, 4)',
    'returned_revenue': 'decimal(18, 4)',
    'refunds': 'decimal(18, 4)',
    'net_revenue': 'decimal(18, 4)',
    'visits': 'bigint',
    'views': 'bigint',
    'carts': 'bigint',
} %}
with days as (

    select * from {{ person_days(sums, country=true) }} as person_days

),

-- A customer who signs up at or after as_of is not known yet. If the shop has no sign-up time, the first event
-- counts.
accounts as (

    select
        customer_id,
        country,
        signed_up_at
    from {{ ref('stg_customers') }}
    where signed_up_at is null or signed_up_at < cast('{{ var("as_of") }}' as timestamp)

),

-- A person signed up with their first account.
signed_up as (

    select
        accounts.customer_id,
        accounts.country,
        accounts.signed_up_at
    from accounts
    left join {{ persons_at_as_of() }} as persons on accounts.customer_id = persons.customer_id
    where persons.customer_id is null
    union all
    select
        persons.person_id as customer_id,
        min_by(
            accounts.country,
            concat(coalesce(cast(accounts.signed_up_at as varchar), '9999'), ' ', accounts.customer_id)
        ) as country,
        min(accounts.signed_up_at) as signed_up_at
    from accounts
    inner join {{ persons_at_as_of() }} as persons on accounts.customer_id = persons.customer_id
    group by persons.person_id

),

order_days as (

    select
        customer_id,
        activity_date,
        lag(activity_date) over (partition by customer_id order by activity_date) as previous_date,
        date_diff(
            'day', lag(activity_date) over (partition by customer_id order by activity_date), activity_date
        ) as gap
    from days
    where orders > 0

),

gaps as (

    select
        customer_id,
        count(*) as order_days,
        min(activity_date) as first_order_date,
        max(activity_date) as last_order_date,
        max(previous_date) as previous_order_date,
        sum(gap) / count(gap) as mean_gap_days,
        -- Computed from sums of integers, which are exact and independent of row order.
        sqrt(
            (count(gap) * sum(gap * gap) - sum(gap) * sum(gap)) / nullif(count(gap) * (count(gap) - 1), 0)
        ) as sd_gap_days
    from order_days
    group by customer_id

),

ages as (

    select
        *,
        date_diff('day', activity_date, cast('{{ var("as_of") }}' as date)) as age
    from days

),

sums as (

    select
        customer_id,
        min(activity_date) as first_seen_date,
        max(activity_date) as last_seen_date,
        sum(orders) as orders,
        sum(case when age <= 30 then orders else 0 end) as orders_30d,
        sum(case when age <= 90 then orders else 0 end) as orders_90d,
        sum(case when age <= 180 then orders else 0 end) as orders_180d,
        sum(case when age <= 365 then orders else 0 end) as orders_365d,
        sum(case when age between 276 and 365 then orders else 0 end) as orders_year_ago_90d,
        sum(net_revenue) as net_revenue,
        sum(case when age <= 30 then net_revenue else 0 end) as net_revenue_30d,
        sum(case when age <= 90 then net_revenue else 0 end) as net_revenue_90d,
        sum(case when age <= 180 then net_revenue else 0 end) as net_revenue_180d,
        sum(case when age <= 365 then net_revenue else 0 end) as net_revenue_365d,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(returned_revenue) as returned_revenue,
        sum(refunds) as refunds,
        sum(units) as units,
        sum(case when {{ day_of_week('activity_date') }} >= 6 then orders else 0 end) as weekend_orders,
        sum(evening_orders) as evening_orders,
        sum(visits) as visits,
        sum(views) as views,
        sum(carts) as carts,
        sum(case when age <= 30 then visits else 0 end) as visits_30d,
        max_by(country, activity_date) as country
    from ages
    group by customer_id

),

products as (

    select
        coalesce(persons.person_id, lines.customer_id) as customer_id,
        count(distinct lines.product_id) as distinct_products
    from {{ ref('stg_order_lines') }} as lines
    left join {{ persons_at_as_of() }} as persons on lines.customer_id = persons.customer_id
    where
        lines.line_type = 'purchase'
        and lines.customer_id is not null
        and lines.event_at < cast('{{ var("as_of") }}' as timestamp)
    group by coalesce(persons.person_id, lines.customer_id)

),

final as (

    select
        cast('{{ var("as_of") }}' as timestamp) as as_of,
        coalesce(sums.customer_id, signed_up.customer_id) as customer_id,
        coalesce(signed_up.country, sums.country) as country,
        cast(signed_up.signed_up_at as date) as signed_up_date,
        sums.first_seen_date,
        sums.last_seen_date,
        ---------- orders
        gaps.first_order_date,
        gaps.last_order_date,
        date_diff('day', gaps.last_order_date, cast('{{ var("as_of") }}' as date)) as recency_days,
        date_diff('day', gaps.first_order_date, cast('{{ var("as_of") }}' as date)) as tenure_days,
        date_diff('day', gaps.previous_order_date, cast('{{ var("as_of") }}' as date)) as previous_order_days,
        coalesce(gaps.order_days, 0) as order_days,
        cast(coalesce(sums.orders, 0) as bigint) as orders,
        cast(coalesce(sums.orders_30d, 0) as bigint) as orders_30d,
        cast(coalesce(sums.orders_90d, 0) as bigint) as orders_90d,
        cast(coalesce(sums.orders_180d, 0) as bigint) as orders_180d,
        cast(coalesce(sums.orders_365d, 0) as bigint) as orders_365d,
        cast(coalesce(sums.orders_year_ago_90d, 0) as bigint) as orders_year_ago_90d,
        gaps.mean_gap_days,
        gaps.sd_gap_days,
        ---------- money
        cast(coalesce(sums.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cast(coalesce(sums.net_revenue_30d, 0) as decimal(18, 4)) as net_revenue_30d,
        cast(coalesce(sums.net_revenue_90d, 0) as decimal(18, 4)) as net_revenue_90d,
        cast(coalesce(sums.net_revenue_180d, 0) as decimal(18, 4)) as net_revenue_180d,
        cast(coalesce(sums.net_revenue_365d, 0) as decimal(18, 4)) as net_revenue_365d,
        cast(coalesce(sums.gross_revenue, 0) as decimal(18, 4)) as gross_revenue,
        cast(coalesce(sums.discounts, 0) as decimal(18, 4)) as discounts,
        cast(coalesce(sums.returned_revenue, 0) as decimal(18, 4)) as returned_revenue,
        cast(coalesce(sums.refunds, 0) as decimal(18, 4)) as refunds,
        cast((sums.gross_revenue - sums.discounts) / nullif(sums.orders, 0) as decimal(18, 4)) as average_order_value,
        ---------- habits
        cast(coalesce(sums.units, 0) as decimal(18, 4)) as units,
        coalesce(products.distinct_products, 0) as distinct_products,
        cast(
            (sums.returned_revenue + sums.refunds) / nullif(sums.gross_revenue - sums.discounts, 0) as double
        ) as return_rate,
        cast(sums.weekend_orders / nullif(sums.orders, 0) as double) as weekend_order_share,
        cast(sums.evening_orders / nullif(sums.orders, 0) as double) as evening_order_share,
        ---------- browsing
        cast(coalesce(sums.visits, 0) as bigint) as visits,
        cast(coalesce(sums.visits_30d, 0) as bigint) as visits_30d,
        cast(coalesce(sums.views, 0) as bigint) as views,
        cast(coalesce(sums.carts, 0) as bigint) as carts
    from sums
    full outer join signed_up on sums.customer_id = signed_up.customer_id
    left join gaps on sums.customer_id = gaps.customer_id
    left join products on sums.customer_id = products.customer_id
    where sums.customer_id is not null or signed_up.signed_up_at is not null

)

select * from final
