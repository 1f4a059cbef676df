select
    {{ provenance() }},
    {{ row_id('event_time', 'event_type', 'product_id', 'user_id', 'user_session', 'price') }} as event_id,
    {{ time() }} as event_at,
    {{ customer('user_id') }} as customer_id,
    case event_type
        when 'cart' then 'add_to_cart'
        when 'purchase' then case when {{ number('price') }} = 0 then 'gift' else 'purchase' end
        else event_type
    end as event_type,
    case when event_type = 'purchase' then coalesce(user_session, user_id || '/' || event_time) end as order_id,
    product_id,
    1 as quantity,
    {{ number('price') }} as unit_price,
    'USD' as currency,
    user_session as session_id,
    case
        when event_type = 'remove_from_cart' then 'removed'
        when event_type = 'purchase' and {{ number('price') }} is null then 'no_price'
    end as skip_reason
from {{ landed() }}
