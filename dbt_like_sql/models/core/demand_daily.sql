{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='sales_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- Daily sales by country, channel and category, including guests. The parts of each level add up to the units and
-- the money of core.totals_daily. Discounts and refunds of whole orders are spread over the lines of the order. An
-- order belongs to a single channel, as in core.channel_daily. The category
-- is the one in the products table at the time of the build.

with categories as (

    select
        product_id,
        category
    from {{ ref('stg_catalogue') }}
    where category is not null

),

lines as (

    select
        event_date as sales_date,
        purchase_order_id,
        case when line_type = 'purchase' then customer_id end as customer_id,
        product_id,
        units,
        gross_revenue,
        discounts,
        returned_revenue,
        0 as refunds,
        coalesce(country, 'unknown') as country,
        coalesce(
            min(case when line_type = 'purchase' then channel end) over (
                partition by event_date, order_id, customer_id
            ),
            min(channel) over (partition by event_date, order_id, customer_id),
            'unknown'
        ) as channel
    from {{ ref('stg_order_lines') }}
    where line_type in ('purchase', 'return')
    union all
    select
        event_date as sales_date,
        null as purchase_order_id,
        null as customer_id,
        product_id,
        0 as units,
        0 as gross_revenue,
        discounts,
        0 as returned_revenue,
        refunds,
        country,
        channel
    from {{ ref('order_allocations') }}

),

levels as (

    select unnest(['country', 'channel', 'category']) as level

),

levelled as (

    select
        lines.sales_date,
        levels.level,
        case levels.level
            when 'country' then lines.country
            when 'channel' then lines.channel
            when 'category' then coalesce(categories.category, 'unknown')
        end as key,
        lines.purchase_order_id,
        lines.customer_id,
        lines.units,
        lines.gross_revenue,
        lines.discounts,
        lines.returned_revenue,
        lines.refunds
    from lines
    left join categories on lines.product_id = categories.product_id
    cross join levels

),

-- An order is its id and customer.
orders as (

    select
        sales_date,
        level,
        key,
        purchase_order_id,
        customer_id,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(returned_revenue) as returned_revenue,
        sum(refunds) as refunds
    from levelled
    group by sales_date, level, key, purchase_order_id, customer_id

),

final as (

    select
        ---------- ids
        sales_date,
        level,
        key,
        ---------- counts
        count(purchase_order_id) as orders,
        count(distinct customer_id) as buyers,
        cast(sum(units) as decimal(18, 4)) as units,
        ---------- money
        cast(sum(gross_revenue) as decimal(18, 4)) as gross_revenue,
        cast(sum(discounts) as decimal(18, 4)) as discounts,
        cast(sum(returned_revenue) as decimal(18, 4)) as returned_revenue,
        cast(sum(refunds) as decimal(18, 4)) as refunds,
        cast(sum(gross_revenue - discounts - returned_revenue - refunds) as decimal(18, 4)) as net_revenue
    from orders
    group by sales_date, level, key

)

select * from final
