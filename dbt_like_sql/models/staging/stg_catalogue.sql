-- The shop's own product data. Products that occur only in events are in stg_products.

with source as (

    select * from {{ source('raw', 'products') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        product_id,
        ---------- attributes
        name,
        category,
        ---------- amounts
        list_price,
        unit_cost
    from source
    where not deleted

)

select * from final
