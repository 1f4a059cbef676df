-- The lines with the figures of their order.
with read_rows as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        order_id,
        line_number,
        line_number = '1' as is_first,
        md5({{ identifier('buyer') }}) as buyer,
        regexp_matches(status, '等待买家付款|交易关闭') as deleted,
        product,
        title,
        try_cast({{ number('quantity') }} as decimal(18, 4)) as quantity,
        try_cast({{ number('price') }} as decimal(18, 4)) as price,
        coalesce(try_cast({{ number('goods_amount') }} as decimal(18, 4)), 0) as goods_amount,
        coalesce(try_cast({{ number('postage') }} as decimal(18, 4)), 0) as postage,
        coalesce(try_cast({{ number('refund') }} as decimal(18, 4)), 0) as refund
    from {{ landed() }}

)

select
    *,
    sum(try_cast(quantity * price as decimal(18, 4))) over (partition by _delivery_id, order_id) - goods_amount
        as taken_off,
    case when not deleted then buyer end as customer_id
from read_rows
