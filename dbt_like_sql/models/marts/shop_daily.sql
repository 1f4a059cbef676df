-- Discounts, returns and refunds stand on their own day; marts.revenue_by_order_date puts them on the day of the order.
-- A view, because a late order can move the first order of a customer to an earlier day.

with totals as (

    select * from {{ ref('totals_daily') }}

),

calendar as (

    select {{ date_series('min(sales_date)', 'max(sales_date)', 'day') }} as sales_date
    from totals

),

first_orders as (

    select
        first_order_date as sales_date,
        count(*) as new_buyers
    from (
        select
            customer_id,
            min(activity_date) as first_order_date
        from {{ ref('customer_daily') }}
        where orders > 0
        group by customer_id
    ) as firsts
    group by first_order_date

),

final as (

    select
        calendar.sales_date,
        ---------- counts
        coalesce(totals.orders, 0) as orders,
        coalesce(totals.guest_orders, 0) as guest_orders,
        coalesce(totals.buyers, 0) as buyers,
        coalesce(first_orders.new_buyers, 0) as new_buyers,
        coalesce(totals.units, 0) as units,
        ---------- money
        coalesce(totals.gross_revenue, 0) as gross_revenue,
        coalesce(totals.discounts, 0) as discounts,
        coalesce(totals.returned_revenue, 0) as returned_revenue,
        coalesce(totals.refunds, 0) as refunds,
        coalesce(totals.net_revenue, 0) as net_revenue,
        coalesce(totals.tax, 0) as tax,
        coalesce(totals.shipping, 0) as shipping,
        coalesce(totals.net_charges, 0) as net_charges,
        cast(
            (totals.gross_revenue - totals.discounts) / nullif(totals.orders, 0) as decimal(18, 4)
        ) as average_order_value,
        ---------- visits, if the source has them
        coalesce(totals.visits, 0) as visits,
        coalesce(totals.sessions, 0) as sessions,
        cast(totals.orders / nullif(totals.sessions, 0) as double) as conversion
    from calendar
    left join totals on calendar.sales_date = totals.sales_date
    left join first_orders on calendar.sales_date = first_orders.sales_date

)

select * from final
