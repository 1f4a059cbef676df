{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='activity_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- Guests have no customer_id and are excluded.

-- Discounts and refunds of whole orders are in the allocations, which know the customer of the order.
with lines as (

    select * from {{ ref('stg_order_lines') }}
    where customer_id is not null and line_type not in ('discount', 'refund')

),

allocations as (

    select
        event_date,
        customer_id,
        discounts,
        refunds
    from {{ ref('order_allocations') }}
    where customer_id is not null

),

-- An order counts on the day of its first line, whose hour is the order's.
orders as (

    select
        event_date as activity_date,
        customer_id,
        count(*) as orders,
        sum(case when ordered_hour >= 18 then 1 else 0 end) as evening_orders
    from (
        select
            lines.event_date,
            lines.customer_id,
            lines.purchase_order_id,
            extract(hour from min(lines.event_at)) as ordered_hour
        from lines
        left join {{ ref('order_continuations') }} as later
            on
                lines.event_date = later.order_date
                and lines.customer_id = later.customer_id
                and lines.purchase_order_id = later.order_id
        where lines.purchase_order_id is not null and later.order_id is null
        group by lines.event_date, lines.customer_id, lines.purchase_order_id
    ) as hours
    group by event_date, customer_id

),

moved as (

    select
        event_date,
        customer_id,
        line_type,
        product_id,
        country,
        units,
        returned_units,
        gross_revenue,
        discounts,
        returned_revenue,
        refunds,
        tax,
        shipping,
        net_charges
    from lines
    union all
    select
        event_date,
        customer_id,
        'allocation' as line_type,
        null as product_id,
        null as country,
        0 as units,
        0 as returned_units,
        0 as gross_revenue,
        discounts,
        0 as returned_revenue,
        refunds,
        0 as tax,
        0 as shipping,
        0 as net_charges
    from allocations

),

bought as (

    select
        event_date as activity_date,
        customer_id,
        count(distinct case when line_type = 'purchase' then product_id end) as products,
        sum(units) as units,
        sum(returned_units) as returned_units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(returned_revenue) as returned_revenue,
        sum(refunds) as refunds,
        sum(gross_revenue - discounts - returned_revenue - refunds) as net_revenue,
        sum(tax) as tax,
        sum(shipping) as shipping,
        sum(net_charges) as net_charges,
        max(country) as country
    from moved
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
        cast(coalesce(bought.units, 0) as decimal(18, 4)) as units,
        cast(coalesce(bought.returned_units, 0) as decimal(18, 4)) as returned_units,
        ---------- money
        cast(coalesce(bought.gross_revenue, 0) as decimal(18, 4)) as gross_revenue,
        cast(coalesce(bought.discounts, 0) as decimal(18, 4)) as discounts,
        cast(coalesce(bought.returned_revenue, 0) as decimal(18, 4)) as returned_revenue,
        cast(coalesce(bought.refunds, 0) as decimal(18, 4)) as refunds,
        cast(coalesce(bought.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cast(coalesce(bought.tax, 0) as decimal(18, 4)) as tax,
        cast(coalesce(bought.shipping, 0) as decimal(18, 4)) as shipping,
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
