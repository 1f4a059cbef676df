with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'shipping_refunds/' || order_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'shipping' end as event_type,
    order_id,
    -shipping_refund as line_amount,
    channel,
    deleted,
    case when shipping_refund = 0 then 'no_amount' end as skip_reason
from orders
