{{ config(event_time='written_at') }}

with source as (

    select * from {{ source('raw', 'reviews') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        review_id,
        customer_id,
        product_id,
        ---------- times
        written_at,
        ---------- attributes
        rating,
        text
    from source
    where not deleted

)

select * from final
