with orders as (

    {{ shared('orders') }}

),

lines as (

    select
        *,
        nullif(json_extract_string(part_json, '$.sku'), '') as sku,
        json_extract_string(part_json, '$.name') as line_name,
        try_cast(json_extract_string(part_json, '$.quantity') as decimal(18, 4)) as quantity,
        try_cast(json_extract_string(part_json, '$.price') as decimal(18, 4)) as price,
        coalesce(json_extract_string(part_json, '$.gift_card') = 'true', false)
        or json_extract_string(part_json, '$.tip') is not null as is_charge,
        list_sum(list_transform(
            from_json(json_extract(part_json, '$.discount_allocations'), '["json"]'),
            lambda d: try_cast(json_extract_string(d, '$.amount') as decimal(18, 4))
        )) as discount
    from orders

)

select
    {{ provenance() }},
    'line/' || part_id as event_id,
    event_at,
    customer_id,
    case
        when deleted then null
        when is_charge then 'charge'
        when price = 0 then 'gift'
        else 'purchase'
    end as event_type,
    case when not deleted then order_id end as order_id,
    coalesce(sku, line_name) as product_id,
    quantity,
    case when not deleted then price end as unit_price,
    case when not deleted then nullif(discount, 0) end as discount_amount,
    currency,
    country,
    channel,
    line_name as description,
    deleted,
    case when part <> 'line_items' then 'other_part' else test_reason end as skip_reason,
    case when not deleted and (quantity is null or price is null) then 'no_line' end as reject_reason
from lines
