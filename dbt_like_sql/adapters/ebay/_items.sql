-- The items of the report.
select
    {{ provenance() }},
    {{ row_id('Order Number', 'Item Number', 'Custom Label', 'Variation Details', 'Transaction ID') }} as item_event_id,
    {{ time() }} as event_at,
    {{ identifier('Order Number') }} as order_id,
    md5(lower({{ identifier('Buyer Username') }})) as customer_id,
    {{ identifier('Item Number') }} as item_number,
    coalesce({{ identifier('Custom Label') }}, {{ identifier('Item Number') }}) as product_id,
    "Item Title" as item_title,
    coalesce("Buyer Country", "Ship To Country") as country,
    {{ number('Quantity') }} as quantity,
    {{ number('Sold For') }} as sold_for,
    coalesce({{ number('Shipping And Handling') }}, 0) as shipping,
    coalesce({{ number('Seller Collected Tax') }}, 0) as tax,
    {{ number('Total Price') }} as total
from {{ landed() }}
