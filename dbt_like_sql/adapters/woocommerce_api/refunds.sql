with refunds as (

    {{ shared('refunds') }}

)

select
    {{ provenance() }},
    'refund/' || id as event_id,
    event_at,
    'refund' as event_type,
    order_id,
    amount - shipping_refund - tax_refund as line_amount,
    nullif(tax_refund, 0) as tax_amount,
    1 as quantity,
    case when amount - shipping_refund = 0 then 'no_amount' end as skip_reason
from refunds
