with items as (

    select
        {{ provenance() }},
        {{
            row_id(
                'Transaction ID', 'Event Type', 'Date', 'Time', 'Item', 'SKU', 'Price Point Name', 'Qty', 'Gross Sales'
            )
        }}
            as event_id,
        {{ time() }} as event_at,
        {{ customer('Customer ID') }} as customer_id,
        {{ identifier('Transaction ID') }} as order_id,
        concat_ws(' - ', "Item", nullif("Price Point Name", 'Regular')) as item_name,
        {{ identifier('SKU') }} as sku,
        {{ number('Qty') }} as quantity,
        {{ number('Gross Sales') }} as gross,
        {{ number('Discounts') }} as discount,
        {{ number('Net Sales') }} as net,
        {{ number('Tax') }} as tax,
        coalesce(lower("Event Type") = 'refund', false) or {{ number('Qty') }} < 0 as is_return,
        coalesce(regexp_matches(lower(concat_ws(' ', "Itemization Type", "Category")), 'gift ?card'), false)
            as is_gift_card,
        "Location" as channel
    from {{ landed() }}

)

select
    {{ provenance() }},
    event_id,
    event_at,
    customer_id,
    case
        when is_gift_card and is_return then 'charge_refund'
        when is_gift_card then 'charge'
        when is_return then 'return'
        when gross = 0 then 'gift'
        else 'purchase'
    end as event_type,
    order_id,
    coalesce(sku, item_name) as product_id,
    abs(quantity) as quantity,
    abs(net) as line_amount,
    nullif(abs(discount), 0) as discount_amount,
    nullif(abs(tax), 0) as tax_amount,
    channel,
    item_name as description
from items
