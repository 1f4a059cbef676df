with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'tax/' || order_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'tax' end as event_type,
    order_id,
    tax_amount as line_amount,
    currency,
    country,
    deleted,
    case
        when part <> 'row' then 'other_part'
        when tax_amount = 0 then 'no_amount'
    end as skip_reason
from orders
