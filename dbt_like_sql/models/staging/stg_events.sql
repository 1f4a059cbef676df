{{ config(event_time='event_at') }}

with source as (

    select * from {{ source('raw', 'events') }}
    where {{ as_known() }}

),

-- A guest with an id of their own is a customer, so that their orders can be joined with their account's.
final as (

    select
        ---------- ids
        event_id,
        {{ customer_or_guest() }} as customer_id,
        order_id,
        product_id,
        session_id,
        {{ no_hash_of_nothing('email_hash') }} as email_hash,
        {{ no_hash_of_nothing('phone_hash') }} as phone_hash,
        device_id,
        ---------- times
        event_at,
        cast(event_at as date) as event_date,
        ---------- attributes
        event_type,
        description,
        channel,
        country,
        ---------- amounts
        quantity,
        unit_price,
        {{ in_shop_currency('line_amount') }} as amount,
        {{ in_shop_currency('discount_amount') }} as discount_amount,
        {{ in_shop_currency('tax_amount') }} as tax_amount,
        line_amount as original_amount,
        currency,
        exchange_rate
    from source
    where not deleted

)

select * from final
