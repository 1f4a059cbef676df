-- The lines with the figures of their order.
with read_rows as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        {{ identifier('订单号') }} as order_id,
        cast(row_number() over by_file as varchar) as line_number,
        row_number() over by_file = 1 as is_first,
        md5({{ identifier('下单帐号') }}) as buyer,
        regexp_matches({{ fill_down('订单状态', '订单号') }}, '取消|删除|等待付款') as deleted,
        coalesce({{ identifier('货号') }}, {{ identifier('商品ID') }}) as product,
        "商品名称" as title,
        try_cast({{ number('订购数量') }} as decimal(18, 4)) as quantity,
        try_cast({{ number('京东价') }} as decimal(18, 4)) as price,
        try_cast({{ number('结算金额') }} as decimal(18, 4)) as settled,
        try_cast({{ number('运费金额') }} as decimal(18, 4)) as freight
    from {{ landed() }}
    window by_file as (partition by _delivery_id, "订单号" order by _source_row)

)

select
    *,
    coalesce(max(freight) over by_order, 0) as postage,
    coalesce(
        sum(try_cast(quantity * price as decimal(18, 4))) over by_order - max(settled) over by_order, 0
    ) as taken_off,
    case when not deleted then buyer end as customer_id
from read_rows
window by_order as (partition by _delivery_id, order_id)
