{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='activity_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- Guests have no customer_id and are excluded.

with lines as (

    select * from {{ ref('stg_order_lines') }}
    where customer_id is not null

),

-- The hour of an order is that of its first line.
orders as (

    select
        event_date as activity_date,
        customer_id,
        count(*) as orders,
        sum(case when ordered_hour >= 18 then 1 else 0 end) as evening_orders
    from (
        select
            event_date,
            customer_id,
            purchase_order_id,
            extract(hour from min(event_at)) as ordered_hour
        from lines
        where purchase_order_id is not null
        group by event_date, customer_id, purchase_order_id
    ) as hours
    group by event_date, customer_id

),

bought as (

    select
        event_date as activity_date,
        customer_id,
        count(distinct case when line_type = 'purchase' then product_id end) as products,
        sum(units) as units,
        sum(returned_units) as returned_units,
        sum(gross_revenue) as gross_revenue,
        sum(returned_revenue) as returned_revenue,
        sum(net_revenue) as net_revenue,
        sum(net_charges) as net_charges,
        max(country) as country
    from lines
    group by event_date, customer_id

),

looked as (

    select
        event_date as activity_date,
        customer_id,
        count(case when event_type = 'visit' then 1 end) as visits,
        count(case when event_type = 'view' then 1 end) as views,
        count(case when event_type = 'add_to_cart' then 1 end) as carts,
        count(case when event_type = 'email_open' then 1 end) as email_opens,
        count(case when event_type = 'email_click' then 1 end) as email_clicks,
        max(country) as country
    from {{ ref('stg_events') }}
    where
        customer_id is not null
        and event_type in ('visit', 'view', 'add_to_cart', 'email_open', 'email_click')
    group by event_date, customer_id

),

final as (

    select
        ---------- ids
        coalesce(bought.activity_date, looked.activity_date) as activity_date,
        coalesce(bought.customer_id, looked.customer_id) as customer_id,
        coalesce(bought.country, looked.country) as country,
        ---------- orders
        coalesce(orders.orders, 0) as orders,
        cast(coalesce(orders.evening_orders, 0) as bigint) as evening_orders,
        coalesce(bought.products, 0) as products,
        cast(coalesce(bought.units, 0) as bigint) as units,
        cast(coalesce(bought.returned_units, 0) as bigint) as returned_units,
        ---------- money
        cast(coalesce(bought.gross_revenue, 0) as decimal(18, 4)) as gross_revenue,
        cast(coalesce(bought.returned_revenue, 0) as decimal(18, 4)) as returned_revenue,
        cast(coalesce(bought.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cast(coalesce(bought.net_charges, 0) as decimal(18, 4)) as net_charges,
        ---------- browsing
        coalesce(looked.visits, 0) as visits,
        coalesce(looked.views, 0) as views,
        coalesce(looked.carts, 0) as carts,
        coalesce(looked.email_opens, 0) as email_opens,
        coalesce(looked.email_clicks, 0) as email_clicks
    from bought
    full outer join looked
        on bought.activity_date = looked.activity_date and bought.customer_id = looked.customer_id
    left join orders
        on bought.activity_date = orders.activity_date and bought.customer_id = orders.customer_id

)

select * from final
