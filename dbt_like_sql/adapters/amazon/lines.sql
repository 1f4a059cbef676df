with items as (

    {{ shared('items') }}

)

select
    {{ provenance() }},
    item_event_id as event_id,
    event_at,
    customer_id,
    case
        when deleted then null
        when price = 0 then 'gift'
        else 'purchase'
    end as event_type,
    order_id,
    sku as product_id,
    quantity,
    nullif(discount, 0) as discount_amount,
    price - discount as line_amount,
    case when is_taxed_on_top then nullif(item_tax, 0) end as tax_amount,
    currency,
    country,
    channel,
    item_name as description,
    deleted,
    case when not deleted and (price is null or coalesce(quantity, 0) = 0) then 'pending' end as skip_reason
from items
