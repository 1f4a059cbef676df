-- What the shop itself says of its products. A product that only events name is in stg_products alone.

with source as (

    select * from {{ source('raw', 'products') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        product_id,
        ---------- what
        name,
        category,
        ---------- how much
        list_price,
        unit_cost
    from source
    where not deleted

)

select * from final
