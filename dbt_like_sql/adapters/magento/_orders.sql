-- The orders with what their grand total consists of.
with read_rows as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        {{ identifier('ID') }} as order_id,
        lower({{ identifier('Customer Email') }}) as email,
        regexp_matches(lower("Status"), 'cancel|pending.payment|payment.review|fraud') as deleted,
        "Purchase Point" as channel,
        try_cast({{ number('Grand Total (Base)') }} as decimal(18, 4)) as total,
        coalesce(try_cast({{ number('Shipping and Handling') }} as decimal(18, 4)), 0) as shipping_amount,
        try_cast({{ number('Subtotal') }} as decimal(18, 4)) as subtotal,
        coalesce(try_cast({{ number('Total Refunded') }} as decimal(18, 4)), 0) as refunded,
        lower("Status") = 'closed' as is_closed
    from {{ landed() }}

),

amounts as (

    select
        *,
        coalesce(subtotal, total - shipping_amount) as products_total,
        greatest(total - coalesce(subtotal, total - shipping_amount) - shipping_amount, 0) as tax_amount,
        greatest(coalesce(subtotal, total - shipping_amount) + shipping_amount - total, 0) as discount_amount,
        case when is_closed and refunded = 0 then total else refunded end as refund_amount
    from read_rows

),

refunds as (

    select
        *,
        least(refund_amount, greatest(products_total - discount_amount, 0)) as products_refund,
        least(
            refund_amount - least(refund_amount, greatest(products_total - discount_amount, 0)), shipping_amount
        ) as shipping_refund
    from amounts

)

select
    *,
    least(refund_amount - products_refund - shipping_refund, tax_amount) as tax_refund,
    greatest(refund_amount - products_refund - shipping_refund - tax_amount, 0) as other_refund,
    case when not deleted then md5(email) end as customer_id
from refunds
