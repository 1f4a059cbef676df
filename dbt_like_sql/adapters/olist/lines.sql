select
    {{ provenance() }},
    {{ row_id('order_id', 'order_item_id') }} as event_id,
    {{ time() }} as event_at,
    customer_unique_id as customer_id,
    'purchase' as event_type,
    order_id,
    product_id,
    1 as quantity,
    {{ number('price') }} as line_amount,
    'BRL' as currency,
    'BR' as country,
    case
        when order_status in ('canceled', 'unavailable') then 'not_sold'
    end as skip_reason
from {{ landed() }}
