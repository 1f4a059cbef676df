with items as (

    {{ shared('items') }}

)

select
    {{ provenance() }},
    item_event_id as event_id,
    event_at,
    customer_id,
    case when not deleted then 'shipping' end as event_type,
    order_id,
    shipping as line_amount,
    case when is_taxed_on_top then nullif(shipping_tax, 0) end as tax_amount,
    currency,
    country,
    channel,
    item_name as description,
    deleted,
    case when shipping = 0 and coalesce(shipping_tax, 0) = 0 then 'no_amount' end as skip_reason
from items
