{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='sales_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- The shop's totals of each day with any event, including guests.

with events as (

    select
        event_date as sales_date,
        count(case when event_type = 'visit' then 1 end) as visits,
        count(distinct case when event_type = 'visit' then coalesce(session_id, event_id) end) as sessions
    from {{ ref('stg_events') }}
    group by event_date

),

-- An order is its id and customer, and counts on the day of its first line.
orders as (

    select
        days.order_date as sales_date,
        count(*) as orders,
        sum(case when days.customer_id is null then 1 else 0 end) as guest_orders
    from {{ ref('order_days') }} as days
    left join {{ ref('order_continuations') }} as later
        on
            days.order_date = later.order_date
            and days.order_id = later.order_id
            and days.customer_id is not distinct from later.customer_id
    where days.lines > 0 and later.order_id is null
    group by days.order_date

),

sold as (

    select
        event_date as sales_date,
        count(distinct case when line_type = 'purchase' then customer_id end) as buyers,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(returned_revenue) as returned_revenue,
        sum(refunds) as refunds,
        sum(net_revenue) as net_revenue,
        sum(tax) as tax,
        sum(shipping) as shipping,
        sum(net_charges) as net_charges
    from {{ ref('stg_order_lines') }}
    group by event_date

),

final as (

    select
        events.sales_date,
        ---------- counts
        coalesce(orders.orders, 0) as orders,
        coalesce(sold.buyers, 0) as buyers,
        cast(coalesce(orders.guest_orders, 0) as bigint) as guest_orders,
        cast(coalesce(sold.units, 0) as decimal(18, 4)) as units,
        events.visits,
        events.sessions,
        ---------- money
        cast(coalesce(sold.gross_revenue, 0) as decimal(18, 4)) as gross_revenue,
        cast(coalesce(sold.discounts, 0) as decimal(18, 4)) as discounts,
        cast(coalesce(sold.returned_revenue, 0) as decimal(18, 4)) as returned_revenue,
        cast(coalesce(sold.refunds, 0) as decimal(18, 4)) as refunds,
        cast(coalesce(sold.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cast(coalesce(sold.tax, 0) as decimal(18, 4)) as tax,
        cast(coalesce(sold.shipping, 0) as decimal(18, 4)) as shipping,
        cast(coalesce(sold.net_charges, 0) as decimal(18, 4)) as net_charges
    from events
    left join sold on events.sales_date = sold.sales_date
    left join orders on events.sales_date = orders.sales_date

)

select * from final
