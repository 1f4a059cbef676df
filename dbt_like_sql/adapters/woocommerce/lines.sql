with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    line_id as event_id,
    event_at,
    customer_id,
    case
        when deleted then null
        when price = 0 then 'gift'
        else 'purchase'
    end as event_type,
    order_id,
    product_id,
    quantity,
    price as unit_price,
    currency,
    country,
    item_name as description,
    deleted
from orders
