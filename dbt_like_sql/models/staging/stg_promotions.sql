with source as (

    select * from {{ source('raw', 'promotions') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        promotion_id,
        product_id,
        ---------- times
        starts_at,
        ends_at,
        ---------- attributes
        category,
        ---------- amounts
        discount
    from source
    where not deleted

)

select * from final
