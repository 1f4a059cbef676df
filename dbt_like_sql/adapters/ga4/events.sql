with facts as (

    select
        {{ provenance() }},
        {{ row_id('event_timestamp', 'fact', 'item_number', 'customer_id', 'session_id', 'transaction_id', 'item_id') }}
            as event_id,
        {{ time() }} as event_at,
        customer_id,
        session_id,
        fact,
        transaction_id,
        coalesce({{ identifier('item_id') }}, item_name) as product_id,
        item_name,
        {{ number('quantity') }} as quantity,
        {{ number('amount') }} as amount,
        currency,
        country,
        channel
    from {{ landed() }}

)

select
    {{ provenance() }},
    event_id,
    event_at,
    customer_id,
    case
        when fact = 'session_start' then 'visit'
        when fact = 'view_item' then 'view'
        when fact = 'purchase' and amount = 0 then 'gift'
        when fact = 'refund' then 'return'
        when fact = 'money_back' then 'refund'
        else fact
    end as event_type,
    case when fact not in ('session_start', 'view_item', 'add_to_cart') then transaction_id end as order_id,
    product_id,
    case when fact <> 'session_start' then coalesce(quantity, 1) end as quantity,
    case when fact in ('purchase', 'refund') then coalesce(amount, 0) end as unit_price,
    case when fact in ('shipping', 'tax', 'money_back') then amount end as line_amount,
    currency,
    channel,
    country,
    session_id,
    item_name as description,
    case
        when fact in ('purchase', 'refund', 'money_back') and {{ identifier('transaction_id') }} is null
            then 'no_transaction'
    end as reject_reason
from facts
