-- The rows of the export with the figures of their order on each of them.
with read_rows as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        {{ identifier('Order Number') }} as order_id,
        {{ row_id('Order Number') }} as order_event_id,
        {{ row_id('Order Number', 'Item #', 'SKU', 'Item Name', 'Item Cost') }} as line_id,
        row_number() over (partition by _delivery_id, "Order Number" order by _source_row) = 1 as is_first,
        lower({{ fill_down('Order Status', 'Order Number') }}) as status,
        lower({{ fill_down('Email (Billing)', 'Order Number') }}) as email,
        {{ fill_down('Country Code (Billing)', 'Order Number') }} as country,
        {{ fill_down('Order Currency', 'Order Number') }} as currency,
        "Item Name" as item_name,
        coalesce({{ identifier('SKU') }}, "Item Name") as product_id,
        try_cast(abs({{ number('Quantity') }}) as decimal(18, 4)) as quantity,
        try_cast({{ number('Item Cost') }} as decimal(18, 4)) as price,
        try_cast({{ number('Cart Discount Amount') }} as decimal(18, 4)) as discount,
        try_cast({{ number('Order Shipping Amount') }} as decimal(18, 4)) as shipping,
        try_cast({{ number('Order Total Tax Amount') }} as decimal(18, 4)) as tax,
        try_cast({{ number('Order Total Amount') }} as decimal(18, 4)) as total,
        try_cast(abs({{ number('Order Refund Amount') }}) as decimal(18, 4)) as refund
    from {{ landed() }}

),

orders as (

    select
        *,
        sum(try_cast(quantity * price as decimal(18, 4))) over by_order as products_total,
        coalesce(max(discount) over by_order, 0) as discount_amount,
        coalesce(max(shipping) over by_order, 0) as shipping_amount,
        coalesce(max(tax) over by_order, 0) as tax_amount,
        coalesce(max(total) over by_order, 0) as total_amount,
        coalesce(max(refund) over by_order, 0) as refunded,
        regexp_matches(status, 'pending|failed|cancelled|canceled|draft|trash') as deleted
    from read_rows
    window by_order as (partition by _delivery_id, order_id)

),

amounts as (

    select
        *,
        case when status like '%refunded' and refunded = 0 then total_amount else refunded end as refund_amount,
        greatest(products_total - discount_amount, 0) as products_amount
    from orders

),

refunds as (

    select
        *,
        least(refund_amount, products_amount) as products_refund,
        least(refund_amount - least(refund_amount, products_amount), shipping_amount) as shipping_refund
    from amounts

)

select
    *,
    least(refund_amount - products_refund - shipping_refund, tax_amount) as tax_refund,
    greatest(refund_amount - products_refund - shipping_refund - tax_amount, 0) as other_refund,
    case when not deleted then md5(email) end as customer_id
from refunds
