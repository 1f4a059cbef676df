-- An amount of the whole order. kind: its event type. amount: SQL of the amount.
with orders as (

    {{ shared('orders') }}

),

amounts as (

    select
        *,
        {{ amount }} as amount
    from orders

)

select
    {{ provenance() }},
    '{{ kind }}/' || id as event_id,
    event_at,
    customer_id,
    case when not deleted then '{{ kind }}' end as event_type,
    case when not deleted then order_id end as order_id,
    case when not deleted then amount end as line_amount,
    currency,
    country,
    channel,
    deleted,
    case
        when part <> 'row' then 'other_part'
        when is_test then 'test_order'
        when amount = 0 then 'no_amount'
    end as skip_reason
from amounts
