{{ config(event_time='sent_at') }}

with source as (

    select * from {{ source('raw', 'touches') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        touch_id,
        customer_id,
        campaign_id,
        ---------- times
        sent_at,
        opened_at,
        clicked_at,
        ---------- attributes
        channel,
        arm,
        ---------- amounts
        cost
    from source
    where not deleted

)

select * from final
