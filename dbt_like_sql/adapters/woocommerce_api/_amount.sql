-- An amount of the whole order. kind: its event type. amount: the column of the amount.
with orders as (

    {{ shared('orders') }}

)

select
    {{ provenance() }},
    '{{ kind }}/' || order_id as event_id,
    event_at,
    customer_id,
    case when not deleted then '{{ kind }}' end as event_type,
    order_id,
    {{ amount }} as line_amount,
    currency,
    country,
    deleted,
    case
        when part <> 'row' then 'other_part'
        when {{ amount }} = 0 then 'no_amount'
    end as skip_reason
from orders
