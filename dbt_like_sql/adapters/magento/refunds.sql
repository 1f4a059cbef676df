with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'refunds/' || order_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'refund' end as event_type,
    order_id,
    nullif(tax_refund, 0) as tax_amount,
    products_refund + other_refund as line_amount,
    channel,
    deleted,
    case when refund_amount = 0 then 'no_amount' end as skip_reason
from orders
