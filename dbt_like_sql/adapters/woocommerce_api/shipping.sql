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
    shipping_amount as line_amount,
    currency,
    country,
    deleted,
    case
        when part <> 'row' then 'other_part'
        when shipping_amount = 0 then 'no_amount'
    end as skip_reason
from orders
