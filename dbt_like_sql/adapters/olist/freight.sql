select
    {{ provenance() }},
    {{ row_id('order_id', 'order_item_id') }} as event_id,
    {{ time() }} as event_at,
    customer_unique_id as customer_id,
    'shipping' as event_type,
    order_id,
    {{ number('freight_value') }} as line_amount,
    'BRL' as currency,
    'BR' as country,
    case
        when order_status in ('canceled', 'unavailable') then 'not_sold'
        when coalesce({{ number('freight_value') }}, 0) = 0 then 'no_freight'
    end as skip_reason
from {{ landed() }}
