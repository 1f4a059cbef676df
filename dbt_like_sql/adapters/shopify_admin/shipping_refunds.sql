with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'shipping_refund/' || part_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'shipping' end as event_type,
    case when not deleted then order_id end as order_id,
    case when not deleted then -shipping_refund end as line_amount,
    currency,
    country,
    channel,
    deleted,
    case
        when part <> 'refunds' then 'other_part'
        when is_test then 'test_order'
        when shipping_refund = 0 then 'no_amount'
    end as skip_reason
from orders
