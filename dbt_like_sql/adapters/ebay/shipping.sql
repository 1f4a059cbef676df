with items as (

    {{ shared('items') }}

)

select
    {{ provenance() }},
    item_event_id as event_id,
    event_at,
    customer_id,
    'shipping' as event_type,
    order_id,
    shipping as line_amount,
    country,
    'ebay' as channel,
    case
        when item_number is null then 'no_item'
        when shipping = 0 then 'no_amount'
    end as skip_reason
from items
