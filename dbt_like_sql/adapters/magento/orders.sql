with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'orders/' || order_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'purchase' end as event_type,
    order_id,
    'order' as product_id,
    1 as quantity,
    products_total as line_amount,
    channel,
    deleted,
    case when products_total = 0 then 'no_amount' end as skip_reason
from orders
