-- An order is its order_id and customer, on the day of its first purchase line. A view: a return, a refund or a line
-- after midnight changes an order of an earlier day.

with money as (

    select
        order_date as event_date,
        order_id,
        customer_id,
        first_purchase_at,
        lines,
        units,
        returned_units,
        gross_revenue,
        discounts,
        returned_revenue,
        0 as refunds,
        tax,
        shipping,
        net_charges
    from {{ ref('order_days') }}
    where order_id is not null
    union all
    select
        event_date,
        order_id,
        customer_id,
        null as first_purchase_at,
        0 as lines,
        0 as units,
        0 as returned_units,
        0 as gross_revenue,
        discounts,
        0 as returned_revenue,
        refunds,
        0 as tax,
        0 as shipping,
        0 as net_charges
    from {{ ref('order_allocations') }}

),

final as (

    select
        ---------- ids
        order_id,
        customer_id,
        ---------- times
        min(first_purchase_at) as ordered_at,
        cast(min(first_purchase_at) as date) as order_date,
        max(case when returned_revenue > 0 or refunds > 0 then event_date end) as last_refund_date,
        ---------- counts
        cast(sum(lines) as bigint) as lines,
        cast(sum(units) as decimal(18, 4)) as units,
        cast(sum(returned_units) as decimal(18, 4)) as returned_units,
        ---------- money
        cast(sum(gross_revenue) as decimal(18, 4)) as gross_revenue,
        cast(sum(discounts) as decimal(18, 4)) as discounts,
        cast(sum(returned_revenue) as decimal(18, 4)) as returned_revenue,
        cast(sum(refunds) as decimal(18, 4)) as refunds,
        cast(sum(gross_revenue - discounts - returned_revenue - refunds) as decimal(18, 4)) as net_revenue,
        cast(sum(tax) as decimal(18, 4)) as tax,
        cast(sum(shipping) as decimal(18, 4)) as shipping,
        cast(sum(net_charges) as decimal(18, 4)) as net_charges
    from money
    group by order_id, customer_id
    having sum(lines) > 0

)

select * from final
