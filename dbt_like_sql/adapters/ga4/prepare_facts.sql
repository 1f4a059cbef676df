with events as (

    select
        event_timestamp,
        event_name,
        coalesce({{ identifier('user_id') }}, user_pseudo_id) as customer_id,
        user_pseudo_id || '/' || json_extract_string(
            list_filter(
                from_json(event_params, '["json"]'), lambda p: json_extract_string(p, '$.key') = 'ga_session_id'
            )[1],
            '$.value.int_value'
        ) as session_id,
        json_extract_string(
            list_filter(from_json(event_params, '["json"]'), lambda p: json_extract_string(p, '$.key') = 'currency')[1],
            '$.value.string_value'
        ) as currency,
        coalesce("ecommerce.transaction_id", json_extract_string(ecommerce, '$.transaction_id')) as transaction_id,
        coalesce("ecommerce.shipping_value", json_extract_string(ecommerce, '$.shipping_value')) as shipping,
        coalesce("ecommerce.tax_value", json_extract_string(ecommerce, '$.tax_value')) as tax,
        coalesce("ecommerce.refund_value", json_extract_string(ecommerce, '$.refund_value')) as refund,
        coalesce("geo.country", json_extract_string(geo, '$.country')) as country,
        coalesce("traffic_source.medium", json_extract_string(traffic_source, '$.medium')) as channel,
        coalesce(from_json(items, '["json"]'), []) as items,
        _file,
        _source_row
    from {{ file('events') }}
    where event_name in ('session_start', 'view_item', 'add_to_cart', 'purchase', 'refund')

),

items as (

    select
        * exclude (items),
        unnest(items) as item,
        generate_subscripts(items, 1) as item_number
    from events
    where event_name <> 'session_start'

),

facts as (

    select
        * exclude (item, item_number),
        event_name as fact,
        item_number,
        json_extract_string(item, '$.item_id') as item_id,
        json_extract_string(item, '$.item_name') as item_name,
        coalesce(json_extract_string(item, '$.quantity'), '1') as quantity,
        json_extract_string(item, '$.price') as amount
    from items
    union all by name
    select
        * exclude (items),
        'session_start' as fact
    from events
    where event_name = 'session_start'
    union all by name
    select
        * exclude (items),
        'shipping' as fact,
        shipping as amount
    from events
    where event_name = 'purchase' and try_cast(shipping as double) <> 0
    union all by name
    select
        * exclude (items),
        'tax' as fact,
        tax as amount
    from events
    where event_name = 'purchase' and try_cast(tax as double) <> 0
    union all by name
    select
        * exclude (items),
        'money_back' as fact,
        refund as amount
    from events
    where event_name = 'refund' and len(items) = 0 and try_cast(refund as double) <> 0

)

select
    event_timestamp,
    event_name,
    fact,
    item_number,
    customer_id,
    session_id,
    transaction_id,
    item_id,
    item_name,
    quantity,
    amount,
    currency,
    country,
    channel
from facts
order by _file, _source_row, fact, item_number
