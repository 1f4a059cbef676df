{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='sales_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- Purchases, returns and gifts, including guests; charges are not products. Discounts and refunds of whole orders are
-- spread over the products of the order, so that products add up to core.totals_daily.

-- By order first: an order is its id and customer.
with lines as (

    select
        event_date as sales_date,
        product_id,
        purchase_order_id,
        customer_id,
        max(case when line_type = 'purchase' then customer_id end) as buyer_id,
        sum(units) as units,
        sum(returned_units) as returned_units,
        sum(case when line_type = 'gift' then 1 else 0 end) as gift_lines,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(returned_revenue) as returned_revenue,
        0 as refunds
    from {{ ref('stg_order_lines') }}
    where line_type in ('purchase', 'return', 'gift')
    group by event_date, product_id, purchase_order_id, customer_id

),

allocations as (

    select
        event_date as sales_date,
        product_id,
        null as purchase_order_id,
        null as customer_id,
        null as buyer_id,
        0 as units,
        0 as returned_units,
        0 as gift_lines,
        0 as gross_revenue,
        discounts,
        0 as returned_revenue,
        refunds
    from {{ ref('order_allocations') }}

),

sold as (

    select * from lines
    union all
    select * from allocations

),

final as (

    select
        ---------- ids
        sales_date,
        product_id,
        ---------- counts
        count(purchase_order_id) as orders,
        count(distinct buyer_id) as buyers,
        cast(sum(units) as decimal(18, 4)) as units,
        cast(sum(returned_units) as decimal(18, 4)) as returned_units,
        cast(sum(gift_lines) as bigint) as gift_lines,
        ---------- money
        cast(sum(gross_revenue) as decimal(18, 4)) as gross_revenue,
        cast(sum(discounts) as decimal(18, 4)) as discounts,
        cast(sum(returned_revenue) as decimal(18, 4)) as returned_revenue,
        cast(sum(refunds) as decimal(18, 4)) as refunds,
        cast(sum(gross_revenue - discounts - returned_revenue - refunds) as decimal(18, 4)) as net_revenue
    from sold
    group by sales_date, product_id

)

select * from final
