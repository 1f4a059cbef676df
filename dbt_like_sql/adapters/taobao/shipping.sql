with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'shipping/' || order_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'shipping' end as event_type,
    order_id,
    postage as line_amount,
    'CNY' as currency,
    deleted,
    case when not is_first or postage = 0 then 'no_amount' end as skip_reason
from orders
