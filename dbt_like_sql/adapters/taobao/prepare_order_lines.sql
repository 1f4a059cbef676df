with orders as (

    select
        *,
        {{ identifier('订单编号') }} as order_id
    from {{ file('orders') }}
    -- The same order in two exports: the later one.
    qualify row_number() over (partition by {{ identifier('订单编号') }} order by _file desc, _source_row desc) = 1

),

items as (

    select
        {{ identifier('订单编号') }} as order_id,
        coalesce({{ identifier('外部系统编号') }}, {{ identifier('商家编码') }}, "标题") as product,
        "标题" as title,
        "购买数量" as quantity,
        "价格" as price,
        row_number() over (partition by {{ identifier('订单编号') }}, _file order by _source_row) as line_number
    from {{ file('items') }}
    qualify dense_rank() over (partition by {{ identifier('订单编号') }} order by _file desc) = 1

)

select
    orders.order_id,
    coalesce(items.line_number, 1) as line_number,
    orders."买家会员名" as buyer,
    orders."订单状态" as status,
    orders."订单创建时间" as created_at,
    orders."买家应付货款" as goods_amount,
    orders."买家应付邮费" as postage,
    orders."退款金额" as refund,
    coalesce(items.product, orders."宝贝标题") as product,
    coalesce(items.title, orders."宝贝标题") as title,
    case when items.order_id is null then '1' else items.quantity end as quantity,
    case when items.order_id is null then orders."买家应付货款" else items.price end as price
from orders
left join items on orders.order_id = items.order_id
order by orders.order_id, line_number
