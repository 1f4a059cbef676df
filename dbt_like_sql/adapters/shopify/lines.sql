with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    line_id as event_id,
    event_at,
    customer_id,
    case
        when deleted then null
        when kind <> 'product' then 'charge'
        when price = 0 then 'gift'
        else 'purchase'
    end as event_type,
    case when not deleted then order_id end as order_id,
    coalesce(sku, line_name) as product_id,
    quantity,
    case when not deleted then price end as unit_price,
    case when has_line_discounts and not deleted then nullif(line_discount, 0) end as discount_amount,
    currency,
    country,
    channel,
    line_name as description,
    deleted,
    case when not deleted and (quantity is null or price is null) then 'no_line' end as reject_reason
from orders
