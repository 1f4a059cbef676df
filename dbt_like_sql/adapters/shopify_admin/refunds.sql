with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    'refund/' || part_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'refund' end as event_type,
    case when not deleted then order_id end as order_id,
    case when not deleted then products_refund end as line_amount,
    case when not deleted then nullif(tax_refund, 0) end as tax_amount,
    1 as quantity,
    currency,
    country,
    channel,
    deleted,
    case
        when part <> 'refunds' then 'other_part'
        when is_test then 'test_order'
        when products_refund = 0 and tax_refund = 0 then 'no_amount'
    end as skip_reason
from orders
