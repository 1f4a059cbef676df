with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    order_event_id as event_id,
    event_at,
    customer_id,
    case
        when deleted then null
        when products_total = 0 then 'charge_refund'
        else 'refund'
    end as event_type,
    case when not deleted then order_id end as order_id,
    case when not deleted then products_refund + other_refund end as line_amount,
    case when not deleted then nullif(tax_refund, 0) end as tax_amount,
    1 as quantity,
    currency,
    country,
    channel,
    deleted,
    case when not is_first or refund_amount = 0 then 'no_amount' end as skip_reason
from orders
