-- The items of the report with the amounts of their quantity.
select
    {{ provenance() }},
    {{ row_id('order-id', 'amazon-order-id', 'order-item-id', 'sku') }} as item_event_id,
    {{ time() }} as event_at,
    coalesce({{ identifier('order-id') }}, {{ identifier('amazon-order-id') }}) as order_id,
    md5(lower({{ identifier('buyer-email') }})) as customer_id,
    {{ identifier('sku') }} as sku,
    "product-name" as item_name,
    "currency" as currency,
    "ship-country" as country,
    "sales-channel" as channel,
    coalesce({{ number('quantity-purchased') }}, {{ number('quantity') }}) as quantity,
    {{ number('item-price') }} as price,
    coalesce(abs({{ number('item-promotion-discount') }}), 0) as discount,
    coalesce({{ number('shipping-price') }}, 0) - coalesce(abs({{ number('ship-promotion-discount') }}), 0) as shipping,
    coalesce({{ number('gift-wrap-price') }}, 0) as gift_wrap,
    -- Prices include taxes outside North America.
    coalesce(
        not regexp_matches(lower("sales-channel"), '^amazon\.') or lower("sales-channel") in (
            'amazon.com', 'amazon.ca', 'amazon.com.mx'
        ),
        true
    ) as is_taxed_on_top,
    {{ number('item-tax') }} as item_tax,
    {{ number('shipping-tax') }} as shipping_tax,
    {{ number('gift-wrap-tax') }} as gift_wrap_tax,
    coalesce(regexp_matches(lower(concat_ws(' ', "order-status", "item-status")), 'cancel'), false) as deleted
from {{ landed() }}
