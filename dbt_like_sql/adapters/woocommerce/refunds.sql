with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    order_event_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'refund' end as event_type,
    order_id,
    products_refund + other_refund as line_amount,
    nullif(tax_refund, 0) as tax_amount,
    currency,
    country,
    deleted,
    case when not is_first or refund_amount = 0 then 'no_amount' end as skip_reason
from orders
