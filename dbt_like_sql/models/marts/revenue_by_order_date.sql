-- Money by the day of the order: discounts, returns and refunds reduce the day of their order, whenever they happened.
-- marts.shop_daily has the same money by its own day. What belongs to no order with a purchase, such as a credit note
-- with an id of its own, stays on its own day.

with orders as (

    select
        order_date,
        count(*) as orders,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(returned_revenue) as returned_revenue,
        sum(refunds) as refunds,
        sum(tax) as tax,
        sum(shipping) as shipping,
        sum(net_charges) as net_charges
    from {{ ref('orders') }}
    group by order_date

),

totals as (

    select * from {{ ref('totals_daily') }}

),

-- All money except purchases, by its own day.
days as (

    select
        order_date as event_date,
        order_id,
        customer_id,
        discounts,
        returned_revenue,
        0 as refunds,
        tax,
        shipping,
        net_charges
    from {{ ref('order_days') }}
    union all
    select
        event_date,
        order_id,
        customer_id,
        discounts,
        0 as returned_revenue,
        refunds,
        0 as tax,
        0 as shipping,
        0 as net_charges
    from {{ ref('order_allocations') }}

),

others as (

    select
        days.event_date as order_date,
        sum(days.discounts) as discounts,
        sum(days.returned_revenue) as returned_revenue,
        sum(days.refunds) as refunds,
        sum(days.tax) as tax,
        sum(days.shipping) as shipping,
        sum(days.net_charges) as net_charges
    from days
    left join {{ ref('orders') }} as orders
        on days.order_id = orders.order_id and days.customer_id is not distinct from orders.customer_id
    where orders.order_id is null
    group by days.event_date

),

final as (

    select
        totals.sales_date as order_date,
        ---------- counts
        coalesce(orders.orders, 0) as orders,
        cast(coalesce(orders.units, 0) as decimal(18, 4)) as units,
        ---------- money
        cast(coalesce(orders.gross_revenue, 0) as decimal(18, 4)) as gross_revenue,
        cast(coalesce(orders.discounts, 0) + coalesce(others.discounts, 0) as decimal(18, 4)) as discounts,
        cast(
            coalesce(orders.returned_revenue, 0) + coalesce(others.returned_revenue, 0) as decimal(18, 4)
        ) as returned_revenue,
        cast(coalesce(orders.refunds, 0) + coalesce(others.refunds, 0) as decimal(18, 4)) as refunds,
        cast(
            coalesce(orders.gross_revenue, 0)
            - coalesce(orders.discounts, 0) - coalesce(others.discounts, 0)
            - coalesce(orders.returned_revenue, 0) - coalesce(others.returned_revenue, 0)
            - coalesce(orders.refunds, 0) - coalesce(others.refunds, 0) as decimal(18, 4)
        ) as net_revenue,
        cast(coalesce(orders.tax, 0) + coalesce(others.tax, 0) as decimal(18, 4)) as tax,
        cast(coalesce(orders.shipping, 0) + coalesce(others.shipping, 0) as decimal(18, 4)) as shipping,
        cast(coalesce(orders.net_charges, 0) + coalesce(others.net_charges, 0) as decimal(18, 4)) as net_charges
    from totals
    left join orders on totals.sales_date = orders.order_date
    left join others on totals.sales_date = others.order_date

)

select * from final
