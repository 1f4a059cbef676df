with orders as (

    select
        {{ provenance() }},
        {{ row_id('Order #', 'Status', 'N. Revenue') }} as refund_id,
        {{ time() }} as event_at,
        {{ identifier('Order #') }} as order_id,
        lower({{ identifier('Customer') }}) as customer_name,
        "Product(s)" as products,
        coalesce("Origin", "Attribution") as channel,
        {{ number('Items sold') }} as items_sold,
        {{ number('N. Revenue') }} as revenue,
        regexp_matches(lower("Status"), 'pending|failed|cancel|draft|trash') as deleted
    from {{ landed() }}

)

select
    {{ provenance() }},
    case when revenue < 0 then refund_id else md5('order' || order_id) end as event_id,
    event_at,
    md5(customer_name) as customer_id,
    case
        when deleted then null
        when revenue < 0 then 'refund'
        else 'purchase'
    end as event_type,
    order_id,
    case
        when revenue < 0 then null
        when regexp_matches(products, '^[0-9]+ ?[×x] [^×]*$') then regexp_replace(products, '^[0-9]+ ?[×x] ', '')
        else '(several products)'
    end as product_id,
    case when revenue < 0 or coalesce(items_sold, 0) <= 0 then 1 else items_sold end as quantity,
    abs(revenue) as line_amount,
    channel,
    products as description,
    deleted,
    case when coalesce(revenue, 0) = 0 and not deleted then 'no_revenue' end as skip_reason
from orders
