{{ config(event_time='day') }}

with source as (

    select * from {{ source('raw', 'exchange_rates') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        currency,
        ---------- times
        cast(day as date) as day,
        ---------- amounts
        rate
    from source
    where not deleted

)

select * from final
