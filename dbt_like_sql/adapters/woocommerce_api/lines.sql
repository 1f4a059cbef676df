with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    part || '/' || part_id as event_id,
    event_at,
    customer_id,
    case
        when deleted then null
        when part = 'fee_lines' then 'charge'
        when subtotal = 0 then 'gift'
        else 'purchase'
    end as event_type,
    order_id,
    case when part = 'fee_lines' then item_name else coalesce(sku, item_name) end as product_id,
    case when part = 'fee_lines' then 1 else quantity end as quantity,
    total as line_amount,
    case when part = 'line_items' then nullif(subtotal - total, 0) end as discount_amount,
    currency,
    country,
    item_name as description,
    deleted,
    case
        when part = 'row' then 'other_part'
        when part = 'fee_lines' and coalesce(total, 0) <= 0 then 'no_amount'
    end as skip_reason
from orders
