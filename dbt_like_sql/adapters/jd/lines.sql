with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'lines/' || order_id || '/' || line_number as event_id,
    event_at,
    customer_id,
    case
        when deleted then null
        when price = 0 then 'gift'
        else 'purchase'
    end as event_type,
    order_id,
    product as product_id,
    quantity,
    price as unit_price,
    'CNY' as currency,
    title as description,
    deleted
from orders
