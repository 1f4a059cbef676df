with items as (

    {{ shared('items') }}

)

select
    {{ provenance() }},
    item_event_id as event_id,
    event_at,
    customer_id,
    case when sold_for = 0 then 'gift' else 'purchase' end as event_type,
    order_id,
    product_id,
    quantity,
    case
        when quantity > 1 and total in (sold_for + shipping, sold_for + shipping + tax) then sold_for
        else sold_for * cast(quantity as decimal(18, 4))
    end as line_amount,
    nullif(tax, 0) as tax_amount,
    country,
    'ebay' as channel,
    item_title as description,
    case when item_number is null then 'no_item' end as skip_reason
from items
