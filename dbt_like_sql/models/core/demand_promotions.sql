{{ config(materialized='view') }}

-- The discount on each day of a promotion, including planned days, for products and categories. If there are
-- several on a day, the largest counts.

with promotions as (

    select
        case when product_id is not null then 'product' else 'category' end as level,
        coalesce(product_id, category) as key,
        starts_at,
        ends_at,
        discount
    from {{ ref('stg_promotions') }}
    where coalesce(product_id, category) is not null

),

days as (

    select
        level,
        key,
        discount,
        {{ date_series('cast(starts_at as date)', 'cast(ends_at - interval 1 microsecond as date)', 'day') }} as day
    from promotions

),

final as (

    select
        level,
        key,
        day,
        max(discount) as discount
    from days
    group by level, key, day

)

select * from final
