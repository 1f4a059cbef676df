with lines as (

    select
        {{ provenance() }},
        {{ row_id('household_key', 'BASKET_ID', 'DAY', 'PRODUCT_ID', 'QUANTITY', 'SALES_VALUE', 'TRANS_TIME') }}
            as event_id,
        {{ time() }} as event_at,
        {{ customer('household_key') }} as customer_id,
        {{ identifier('BASKET_ID') }} as order_id,
        {{ identifier('PRODUCT_ID') }} as product_id,
        {{ number('QUANTITY') }} as quantity,
        {{ number('SALES_VALUE') }} as sales_value,
        coalesce(abs({{ number('RETAIL_DISC') }}), 0) + coalesce(abs({{ number('COUPON_MATCH_DISC') }}), 0) as discount
    from {{ landed() }}

)

select
    {{ provenance() }},
    event_id,
    event_at,
    customer_id,
    case when sales_value + discount = 0 then 'gift' else 'purchase' end as event_type,
    order_id,
    product_id,
    quantity,
    sales_value as line_amount,
    nullif(discount, 0) as discount_amount,
    'USD' as currency,
    case when quantity = 0 then 'nothing' end as skip_reason
from lines
