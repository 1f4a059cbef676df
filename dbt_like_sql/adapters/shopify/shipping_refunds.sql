with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    order_event_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'shipping' end as event_type,
    case when not deleted then order_id end as order_id,
    case when not deleted then -shipping_refund end as line_amount,
    currency,
    country,
    channel,
    deleted,
    case when not is_first or shipping_refund = 0 then 'no_amount' end as skip_reason
from orders
