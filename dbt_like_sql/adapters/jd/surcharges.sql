with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'surcharges/' || order_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'charge' end as event_type,
    order_id,
    1 as quantity,
    -taken_off as line_amount,
    'CNY' as currency,
    deleted,
    case when not is_first or taken_off >= 0 then 'no_amount' end as skip_reason
from orders
