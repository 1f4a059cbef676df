with source as (

    select * from {{ source('raw', 'promotions') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        promotion_id,
        product_id,
        ---------- when
        starts_at,
        ends_at,
        ---------- what
        category,
        ---------- how much
        discount
    from source
    where not deleted

)

select * from final
