with refunds as (

    {{ shared('refunds') }}

)

select
    {{ provenance() }},
    'shipping_refund/' || id as event_id,
    event_at,
    'shipping' as event_type,
    order_id,
    -shipping_refund as line_amount,
    case when shipping_refund = 0 then 'no_amount' end as skip_reason
from refunds
